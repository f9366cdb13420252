"""What holds for every pruner, those not written yet included."""

from __future__ import annotations

import optuna
import pytest

from searchlab.records import Direction, Objective, TrialResult
from searchlab.search import PRUNERS
from searchlab.search.definition import Definition
from searchlab.search.study import Study
from searchlab.space import Float, Parameter, Pick, Space

EPOCHS = 27


def study(pruner: str, direction: Direction = "minimize", sampler: str = "random", epochs: int = EPOCHS) -> Study:
    space = Space((Parameter("x", Float(0.0, 1.0)),))
    definition = Definition(
        space,
        Objective("val_x", direction),
        Pick(sampler, {"startup_trials": 2, "random_share": 0.0} if sampler == "tpe" else {}),
        Pick(pruner, {}),
        epochs,
        0,
        {},
    )
    return Study("", "a study", optuna.create_study(study_name="a study", direction=direction), definition)


def train(study: Study, *, start: float, slope: float) -> int:
    """Train one trial along a line; the epochs it was given."""
    trial = study.ask()
    sign = 1 if study.objective.direction == "minimize" else -1
    for epoch in range(1, EPOCHS + 1):
        value = sign * (start + slope * epoch)
        if study.report(trial.number, epoch, value):
            study.tell(TrialResult(trial.number, "pruned", value))
            return epoch
    study.tell(TrialResult(trial.number, "complete", value))
    return EPOCHS


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("pruner", PRUNERS.names())
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
class TestEveryPruner:
    def test_leaves_the_first_trial_alone(self, pruner: str, direction: Direction) -> None:
        assert train(study(pruner, direction), start=1.0, slope=0.1) == EPOCHS

    def test_stops_the_hopeless(self, pruner: str, direction: Direction) -> None:
        one = study(pruner, direction)
        for number in range(10):
            train(one, start=1.0 + number / 100, slope=-0.01)
        spent = [train(one, start=100.0, slope=1.0) for _ in range(3)]
        assert spent == [EPOCHS] * 3 if pruner == "none" else max(spent) < EPOCHS

    def test_lets_the_best_go_on(self, pruner: str, direction: Direction) -> None:
        one = study(pruner, direction)
        for number in range(10):
            train(one, start=1.0 + number / 100, slope=-0.01)
        assert train(one, start=0.5, slope=-0.01) == EPOCHS

    def test_a_value_that_is_not_finite_stops_at_once(self, pruner: str, direction: Direction) -> None:
        one = study(pruner, direction)
        trial = one.ask()
        assert one.report(trial.number, 1, float("nan"))
        assert one.report(trial.number, 1, float("inf"))
        assert one.record(trial.number).curve == {}

    def test_a_resume_changes_nothing(self, pruner: str, direction: Direction) -> None:
        """A pruner may tell the sampler which trials to look at; that must not hang on what it remembers."""
        whole, other = study(pruner, direction, "tpe"), study(pruner, direction, "tpe")
        for number in range(24):
            other = Study(
                "", other.name, optuna.load_study(study_name=other.name, storage=other._storage), other.definition
            )
            start = number * 7 % 10 / 10
            assert train(whole, start=start, slope=-0.01) == train(other, start=start, slope=-0.01)
        params = [[record.trial.params for record in one.records()] for one in (whole, other)]
        assert params[0] == params[1]

    def test_bears_single_epochs(self, pruner: str, direction: Direction) -> None:
        one = study(pruner, direction, epochs=1)
        for value in (0.3, 0.2, 0.1):
            trial = one.ask()
            assert one.report(trial.number, 1, value) is False
            one.tell(TrialResult(trial.number, "complete", value))

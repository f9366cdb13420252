"""What is special to single samplers: that those that learn do learn, and the grid's warning."""

from __future__ import annotations

import logging
import statistics

import optuna
import pytest

from searchlab.records import Objective, TrialResult
from searchlab.search import SAMPLERS
from searchlab.search.definition import Definition
from searchlab.search.storage import no_experimental_warnings
from searchlab.search.study import Study
from searchlab.space import Choice, Condition, Float, Int, Parameter, Pick, Space

BOWL = Space(tuple(Parameter(f"x{n}", Float(-1.0, 1.0)) for n in range(4)))
TREE = Space(
    (
        Parameter("optimizer", Choice(("adam", "sgd"))),
        Parameter("optimizer.adam.learning_rate", Float(0.0, 1.0), Condition("optimizer", ("adam",))),
        Parameter("optimizer.sgd.momentum", Float(0.0, 1.0), Condition("optimizer", ("sgd",))),
    )
)


def study(sampler: str, space: Space = BOWL, seed: int = 0) -> Study:
    definition = Definition(
        space,
        Objective("val_loss", "minimize"),
        Pick(sampler, {"random_share": 0.0} if sampler == "tpe" else {}),
        Pick("none", {}),
        1,
        seed,
        {},
    )
    return Study("", "a study", optuna.create_study(study_name="a study"), definition)


def lowest(sampler: str, seed: int, trials: int) -> float:
    """The best of so many trials in a bowl whose bottom is off the middle."""
    one = study(sampler, seed=seed)
    for _ in range(trials):
        trial = one.ask()
        value = sum((float(x) - 0.3) ** 2 for x in trial.params.values.values())  # type: ignore[arg-type]
        one.tell(TrialResult(trial.number, "complete", value))
    return min(record.value for record in one.records() if record.value is not None)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_learns_where_the_bottom_is(sampler: str) -> None:
    found, random = (statistics.median(lowest(name, seed, 60) for seed in range(3)) for name in (sampler, "random"))
    assert found < 0.6 * random


def test_tpe_has_conditional_parameters_in_its_joint_density() -> None:
    one = study("tpe", TREE)
    for number in range(14):
        trial = one.ask()
        one.tell(TrialResult(trial.number, "complete", number / 10))
    plugin = SAMPLERS.get("tpe")
    with no_experimental_warnings():
        sampler = plugin.make(plugin.Options(random_share=0.0), TREE, seed=0, number=14)
    joint = sampler.infer_relative_search_space(one._study, one._study.trials[-1])
    assert set(joint) == set(TREE.names)


def test_tpe_keeps_away_from_what_is_running() -> None:
    suggestions = []
    for ending in (None, "failed"):  # failed trials it does not see
        one = study("tpe")
        for number in range(14):
            trial = one.ask()
            one.tell(TrialResult(trial.number, "complete", number / 10))
        for trial in [one.ask() for _ in range(8)]:
            if ending is not None:
                one.tell(TrialResult(trial.number, "failed", None))
        suggestions.append(one.ask())
    assert suggestions[0].number == suggestions[1].number
    assert suggestions[0].params != suggestions[1].params


def test_tpe_draws_its_share_at_random() -> None:
    plugin = SAMPLERS.get("tpe")
    with no_experimental_warnings():
        made = [plugin.make(plugin.Options(random_share=0.25), BOWL, seed=0, number=number) for number in range(400)]
    assert 70 <= sum(isinstance(sampler, optuna.samplers.RandomSampler) for sampler in made) <= 130


def test_the_grid_says_once_why_not(caplog: pytest.LogCaptureFixture) -> None:
    one = study("grid", Space((Parameter("a", Int(1, 3)), Parameter("b", Float(0.0, 1.0)))))
    with caplog.at_level(logging.WARNING):
        points = {one.ask().params.digest() for _ in range(12)}
    assert len(points) == 12
    (record,) = (record for record in caplog.records if "grid has 12 configurations" in record.message)
    assert "random" in record.message

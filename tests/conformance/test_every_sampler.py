"""What holds for every sampler, those not written yet included."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import optuna
import pytest

from searchlab.errors import MissingExtra
from searchlab.records import Objective, Trial, TrialResult
from searchlab.search import SAMPLERS
from searchlab.search.definition import Definition
from searchlab.search.study import Study
from searchlab.space import Choice, Condition, Fixed, Float, Int, Parameter, Params, Pick, Space
from searchlab.space.measure import contains

SPACE = Space(
    (
        Parameter("model", Choice(("cnn", "mlp"))),
        Parameter("model.cnn.depth", Int(1, 3), Condition("model", ("cnn",))),
        Parameter("model.cnn.width.1", Choice((16, 32)), Condition("model.cnn.depth", (1, 2, 3))),
        Parameter("model.cnn.width.2", Choice((16, 32)), Condition("model.cnn.depth", (2, 3))),
        Parameter("model.cnn.pooling", Fixed("max"), Condition("model", ("cnn",))),
        Parameter("model.mlp.units", Int(8, 512, log=True), Condition("model", ("mlp",))),
        Parameter("optimizer", Choice(("adam", "sgd"))),
        Parameter("optimizer.adam.learning_rate", Float(1e-4, 1e-1, log=True), Condition("optimizer", ("adam",))),
        Parameter("optimizer.sgd.momentum", Float(0.0, 0.99, step=0.1), Condition("optimizer", ("sgd",))),
        Parameter("training.batch_size", Int(16, 100, step=16)),
        Parameter("task.mixed", Choice((None, True, 1, "one", 0.5))),
    )
)
GUESSED = {
    "model": "mlp",
    "model.mlp.units": 64,
    "optimizer": "adam",
    "optimizer.adam.learning_rate": 1e-3,
    "training.batch_size": 32,
    "task.mixed": True,
}
GUESS = SPACE.resolve(lambda parameter: GUESSED[parameter.name])
TRIALS = 20
"""So many that every sampler has begun to think: of each six one fails and one is not a number."""


def definition(sampler: str, *, seed: int = 0, guesses: tuple[Params, ...] = (), space: Space = SPACE) -> Definition:
    objective = Objective("val_loss", "minimize")
    return Definition(space, objective, Pick(sampler, {}), Pick("none", {}), 2, seed, {}, guesses)


def in_memory(definition: Definition) -> Study:
    return Study("", "a study", optuna.create_study(study_name="a study"), definition)


def stored(folder: Path, definition: Definition) -> Study:
    return Study.create(f"sqlite:///{folder}/studies.db", "a study", **vars(definition))


def end(study: Study, trial: Trial) -> None:
    """End `trial` as its configuration decides: complete, pruned, failed or not a number."""
    value = int(trial.params.digest(), 16) % 1000 / 1000
    study.report(trial.number, 1, value)
    state = ("complete", "complete", "complete", "pruned", "failed", "complete")[trial.number % 6]
    told = float("nan") if trial.number % 6 == 5 else value
    study.tell(TrialResult(trial.number, state, told))  # type: ignore[arg-type]


def ask(study: Study, trials: int) -> list[Trial]:
    asked = []
    for _ in range(trials):
        asked.append(study.ask())
        end(study, asked[-1])
    return asked


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sampler", SAMPLERS.names())
class TestEverySampler:
    @pytest.fixture(autouse=True)
    def _installed(self, sampler: str) -> None:
        if sampler == "gp" and importlib.util.find_spec("torch") is None:
            pytest.skip("PyTorch is not installed")

    def test_stays_in_the_space_and_names_active_parameters_only(self, sampler: str) -> None:
        for trial in ask(in_memory(definition(sampler)), 2 * TRIALS):
            assert contains(SPACE, trial.params), trial.params

    def test_goes_on_after_a_resume_as_if_there_had_been_none(self, sampler: str, tmp_path: Path) -> None:
        whole = ask(in_memory(definition(sampler)), TRIALS)
        parts = [trial for size in (3, 12, 5) for trial in ask(stored(tmp_path, definition(sampler)), size)]
        assert parts == whole
        assert len({trial.params.digest() for trial in parts}) > TRIALS - 3
        assert len({trial.seed for trial in parts}) == TRIALS

    def test_another_seed_gives_another_sequence(self, sampler: str) -> None:
        one, other = (ask(in_memory(definition(sampler, seed=seed)), 5) for seed in (0, 1))
        assert [trial.params for trial in one] != [trial.params for trial in other]

    def test_first_guesses_come_first_and_shift_the_rest(self, sampler: str) -> None:
        guessed = ask(in_memory(definition(sampler, guesses=(GUESS,))), 4)
        plain = ask(in_memory(definition(sampler)), 3)
        assert guessed[0].params == GUESS
        assert [trial.params for trial in guessed[1:]] == [trial.params for trial in plain]

    def test_goes_on_with_new_seeds_when_the_space_is_exhausted(self, sampler: str) -> None:
        tiny = Space((Parameter("a", Choice((1, 2))), Parameter("b", Choice((True, False)))))
        trials = ask(in_memory(definition(sampler, space=tiny)), TRIALS)
        assert len({trial.params.digest() for trial in trials}) == 4
        assert len({trial.seed for trial in trials}) == TRIALS
        seen: dict[str, int] = {}
        for trial in trials:
            digest = trial.params.digest()
            assert trial.replicate == seen.get(digest, 0)
            seen[digest] = trial.replicate + 1

    def test_many_workers_at_once_do_not_all_draw_the_same(self, sampler: str) -> None:
        study = in_memory(definition(sampler))
        ask(study, 14)
        assert len({study.ask().params.digest() for _ in range(6)}) >= 4


@pytest.mark.parametrize("sampler", ["gp", "cmaes"])
def test_a_missing_library_is_named_before_anything_is_stored(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=rf"searchlab\[{sampler}\]"):
        stored(tmp_path, definition(sampler))
    assert not (tmp_path / "studies.db").exists()

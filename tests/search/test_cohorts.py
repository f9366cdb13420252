"""Cohorts: one shape each, no draw lost, and no more of a learning sampler's draws at once than it can bear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from searchlab.records import Cohort, Objective, Trial, TrialResult
from searchlab.search import SAMPLERS, cohorts
from searchlab.search.cohorts import Shape, next_cohort
from searchlab.search.definition import Definition
from searchlab.search.study import Study
from searchlab.space import Choice, Condition, Fixed, Float, Int, Parameter, Params, Pick, Space

SPACE = Space(
    (
        Parameter("model", Fixed("cnn")),
        Parameter("model.cnn.depth", Int(1, 2)),
        Parameter("model.cnn.width.1", Choice((16, 32)), Condition("model.cnn.depth", (1, 2))),
        Parameter("model.cnn.width.2", Choice((16, 32)), Condition("model.cnn.depth", (2,))),
        Parameter("optimizer", Choice(("adam", "sgd"))),
        Parameter("optimizer.adam.learning_rate", Float(1e-4, 1e-1, log=True), Condition("optimizer", ("adam",))),
        Parameter("optimizer.sgd.momentum", Float(0.0, 0.99), Condition("optimizer", ("sgd",))),
        Parameter("training.batch_size", Int(32, 32)),
    )
)
GUESS = Params(
    {
        "model": "cnn",
        "model.cnn.depth": 1,
        "model.cnn.width.1": 32,
        "optimizer": "adam",
        "optimizer.adam.learning_rate": 1e-3,
        "training.batch_size": 32,
    }
)
FREE = [name for name in SAMPLERS.names() if getattr(SAMPLERS.get(name), "cohorts", "none") == "any order"]
LEARNING = [name for name in SAMPLERS.names() if getattr(SAMPLERS.get(name), "cohorts", "none") == "same shape"]


def is_value(name: str) -> bool:
    return name.startswith("optimizer")


def definition(sampler: str, guesses: tuple[Params, ...] = ()) -> Definition:
    return Definition(
        SPACE, Objective("val_loss", "minimize"), Pick(sampler, {}), Pick("none", {}), 3, 0, {}, first_guesses=guesses
    )


def study(sampler: str, guesses: tuple[Params, ...] = ()) -> Study:
    return Study("", "a study", optuna.create_study(study_name="a study"), definition(sampler, guesses))


def stored(folder: Path, sampler: str) -> Study:
    return Study.create(f"sqlite:///{folder}/studies.db", "a study", **vars(definition(sampler)))


def end(one: Study, trials: Sequence[Trial]) -> None:
    for trial in trials:
        one.tell(TrialResult(trial.number, "complete", float(trial.number % 7)))


def spend(one: Study, budget: int, most: int, workers: int = 1) -> list[Cohort]:
    """All cohorts of so many trials; each worker ends its cohort before it asks for another."""
    handed: list[Cohort] = []
    while left := one.remaining(budget):
        cohort = one.ask_cohort(most, left=left, is_value=is_value)
        handed.append(cohort)
        if len(handed) >= workers:
            end(one, handed[-workers].trials)
    for cohort in handed[max(0, len(handed) - workers + 1) :]:
        end(one, cohort.trials)
    return handed


def trials_of(handed: Sequence[Cohort]) -> list[Trial]:
    return sorted((trial for cohort in handed for trial in cohort.trials), key=lambda trial: trial.number)


def shapes_of(cohort: Cohort) -> set[Shape]:
    return {trial.params.shape_key(is_value) for trial in cohort.trials}


class TestWhatWaits:
    A: Shape = (("depth", 1),)
    B: Shape = (("depth", 2),)

    def test_goes_out_by_the_shape_of_the_earliest(self) -> None:
        waiting = {0: self.B, 1: self.A, 2: self.B, 3: self.A, 4: self.B}
        assert next_cohort(waiting, 2) == (0, 2)
        assert next_cohort(waiting, 9) == (0, 2, 4)
        assert next_cohort({}, 9) == ()

    def test_goes_first_to_a_child_that_knows_its_shape(self) -> None:
        waiting = {0: self.B, 1: self.A, 2: self.A}
        assert next_cohort(waiting, 9, prefer=[self.A, self.B]) == (1, 2)
        assert next_cohort(waiting, 9, avoid={self.B}) == (1, 2)
        assert next_cohort(waiting, 9, avoid={self.A, self.B}) == (0,)
        assert next_cohort(waiting, 9, prefer=[self.B], avoid={self.B}) == (0,)

    def test_and_must_be_trained_alone_is_a_cohort_of_one(self) -> None:
        waiting: dict[int, Shape | None] = {0: None, 1: self.A, 2: None, 3: self.A}
        assert next_cohort(waiting, 9) == (0,)
        assert next_cohort(waiting, 9, prefer=[self.A]) == (1, 3)


@pytest.mark.parametrize("sampler", FREE)
class TestDrawsInAnyOrder:
    @pytest.mark.parametrize(("most", "workers"), [(1, 1), (4, 1), (16, 3)])
    def test_are_those_of_one_trial_after_another(self, sampler: str, most: int, workers: int) -> None:
        one_by_one = study(sampler, (GUESS,))
        expected = [one_by_one.ask() for _ in range(24)]
        handed = spend(study(sampler, (GUESS,)), 24, most, workers)
        assert trials_of(handed) == expected
        assert all(len(shapes_of(cohort)) == 1 for cohort in handed)
        assert len(handed) == 24 if most == 1 else len(handed) < 24

    def test_lose_nothing_when_the_supervisor_dies(self, sampler: str, tmp_path: Path) -> None:
        before = stored(tmp_path, sampler)
        expected = trials_of(spend(study(sampler), 12, 1))
        end(before, before.ask_cohort(2, left=12, is_value=is_value).trials)
        lost = before.ask_cohort(4, left=10, is_value=is_value).trials
        after = stored(tmp_path, sampler)
        assert after.reap() == tuple(trial.number for trial in lost)
        handed = spend(after, 12, 16)
        records = after.records()
        assert [record.state for record in records] == ["complete"] * 12
        assert [record.trial.params for record in records] == [trial.params for trial in expected]
        again = next(cohort for cohort in handed if lost[0].number in {trial.number for trial in cohort.trials})
        assert {trial.attempt for trial in again.trials} >= {2}
        assert len(shapes_of(again)) == 1


def test_draws_ahead_are_no_trials_until_they_are_handed_out(tmp_path: Path) -> None:
    one = stored(tmp_path, "random")
    cohort = one.ask_cohort(4, left=20, is_value=is_value)
    assert len(one._study.trials) == 20
    assert {record.trial.number for record in one.records()} == {trial.number for trial in cohort.trials}
    assert one.remaining(20) == 20 - len(cohort.trials)


def test_no_more_is_drawn_than_the_budget_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohorts, "AHEAD", 8)
    one = study("random")
    seen: list[int] = []
    while left := one.remaining(30):
        end(one, one.ask_cohort(4, left=left, is_value=is_value).trials)
        seen.append(len(one._study.trials))
    assert max(seen) == 30
    assert all(after - before <= 8 for before, after in zip([0, *seen], seen, strict=False))


@pytest.mark.parametrize("sampler", LEARNING)
class TestDrawsThatLearn:
    def test_of_a_cohort_share_the_shape_and_differ_in_values(self, sampler: str) -> None:
        handed = spend(study(sampler), 80, 8)
        large = [cohort for cohort in handed if len(cohort.trials) > 1]
        assert large and all(len(shapes_of(cohort)) == 1 for cohort in handed)
        assert all(len({trial.params.digest() for trial in cohort.trials}) == len(cohort.trials) for cohort in large)
        assert len({next(iter(shapes_of(cohort))) for cohort in handed}) > 1
        assert [trial.number for cohort in handed for trial in cohort.trials] == list(range(80))

    def test_grow_in_number_with_what_is_known(self, sampler: str) -> None:
        sizes = [len(cohort.trials) for cohort in spend(study(sampler), 80, 8)]
        assert sizes[0] == 1 and sorted(sizes[:-1]) == sizes[:-1] and max(sizes) == 8

    def test_one_at_a_time_are_those_of_ask(self, sampler: str) -> None:
        one_by_one = study(sampler)
        expected = []
        for _ in range(16):
            expected.append(one_by_one.ask())
            end(one_by_one, expected[-1:])
        assert trials_of(spend(study(sampler), 16, 1)) == expected

    def test_with_one_worker_are_a_function_of_the_seed(self, sampler: str) -> None:
        assert spend(study(sampler), 40, 8) == spend(study(sampler), 40, 8)

    def test_leave_the_first_guesses_as_they_are(self, sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cohorts, "size", lambda finished, most: most)
        handed = spend(study(sampler, (GUESS, GUESS)), 6, 4)
        assert [len(cohort.trials) for cohort in handed] == [1, 4, 1]
        assert [trial.params for trial in trials_of(handed)[:2]] == [GUESS, GUESS]
        assert shapes_of(handed[1]) == {GUESS.shape_key(is_value)}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_members_of_a_cohort_that_killed_its_child_are_tried_alone(sampler: str, tmp_path: Path) -> None:
    one = stored(tmp_path, sampler)
    if sampler == "tpe":
        spend(one, 16, 1)
    cohort = one.ask_cohort(4, left=40, is_value=is_value)
    assert len(cohort.trials) > 1
    one.retry_alone(trial.number for trial in cohort.trials)
    handed = spend(one, 40, 4)
    for trial in cohort.trials:
        assert Cohort((replace(trial, attempt=2),)) in handed
    others = [cohort.trials for cohort in handed if cohort.trials[0].attempt == 1]
    assert max(map(len, others)) == 4 and all(trial.attempt == 1 for trials in others for trial in trials)

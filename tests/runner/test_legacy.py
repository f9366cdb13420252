"""What supervisors that died have left is told once, by whom it falls to."""

from __future__ import annotations

from typing import Any

from searchlab.records import Trial, TrialRecord, TrialResult
from searchlab.runner.legacy import Legacy, tell_left_behind, tell_legacy, tell_lost_before
from searchlab.space import Params


def record(number: int, attempt: int, state: Any = "complete") -> TrialRecord:
    result = TrialResult(number, state, 0.5) if state == "complete" else None
    return TrialRecord(Trial(number, Params({}), 0, attempt=attempt), state, 0.5, result)


class Heard:
    """A session, and a study, that write down what they are told."""

    def __init__(self, left: tuple[tuple[int, int], ...], *records: TrialRecord) -> None:
        self._left = left
        self._records = {one.trial.number: one for one in records}
        self.lost: list[tuple[int, int]] = []
        self.finished: list[tuple[int, int]] = []

    def left_behind(self) -> tuple[tuple[int, int], ...]:
        return self._left

    def trial_lost(self, trial_number: int, attempt: int) -> None:
        self.lost.append((trial_number, attempt))

    def trial_finished(self, found: TrialRecord) -> None:
        self.finished.append((found.trial.number, found.trial.attempt))

    def record(self, trial_number: int) -> TrialRecord:
        return self._records[trial_number]

    def records(self) -> tuple[TrialRecord, ...]:
        return tuple(self._records.values())


def test_of_a_later_attempt_its_own_supervisor_tells() -> None:
    """Random faults, seed 1: a leader told of a worker's attempt beside the worker, and each point was there twice."""
    heard: Any = Heard(((0, 1), (1, 1), (2, 1)), record(0, 1), record(1, 2), record(2, 1, "waiting"))
    tell_left_behind(heard, heard.records)
    assert heard.lost == [(0, 1), (1, 1), (2, 1)]
    assert heard.finished == [(0, 1)]


def test_a_result_told_to_the_storage_here_is_told_to_the_tracker_once() -> None:
    heard: Any = Heard(((0, 1), (1, 1)), record(0, 1), record(1, 2), record(2, 1))
    tell_left_behind(heard, heard.records)
    tell_legacy(heard, Legacy(lost=(), told=(0, 1, 2)), heard)  # trial 1 waited when its late result was told
    assert heard.finished == [(0, 1), (1, 2), (2, 1)]


def test_earlier_attempts_are_said_to_be_lost_again() -> None:
    heard: Any = Heard(())
    tell_lost_before([record(0, 1), record(1, 3)], heard)
    assert heard.lost == [(1, 1), (1, 2)]

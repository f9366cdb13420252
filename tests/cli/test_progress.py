"""What is shown while a study runs, a very fast one included."""

from __future__ import annotations

import io
import time
from dataclasses import replace

from rich.console import Console

from searchlab.cli._progress import Progress
from searchlab.records import Epoch, Objective, State, Trial, TrialRecord, TrialResult
from searchlab.runner.watch import Opening
from searchlab.space import Params

OPENING = Opening("fast", Objective("val_accuracy", "maximize"), 1000, 0, 3, 2, "digits", None)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def record(number: int, value: float | None = 0.5, state: State = "complete", reason: str | None = None) -> TrialRecord:
    trial = Trial(number, Params({"optimizer.adam.learning_rate": 0.001}), seed=number)
    return TrialRecord(trial, state, value, TrialResult(number, state, value, epochs=3, reason=reason))


def progress(clock: Clock) -> tuple[Progress, io.StringIO]:
    text = io.StringIO()
    shown = Progress(Console(file=text, width=100), varied=frozenset(), plain=True, now=clock)
    shown.opened(OPENING)
    return shown, text


def test_slow_trials_have_a_line_each() -> None:
    clock = Clock()
    shown, text = progress(clock)
    for number in range(30):
        clock.now += 0.2
        shown.trial_finished(record(number))
    shown.closed()
    assert text.getvalue().count("✓") == 30
    assert "more" not in text.getvalue()


def test_after_a_resume_what_stood_before_is_still_the_best() -> None:
    text = io.StringIO()
    shown = Progress(Console(file=text, width=100), varied=frozenset(), plain=True)
    shown.opened(replace(OPENING, finished=1, best=record(0, 0.9777)))
    for number, value in ((1, 0.9749), (2, 0.9777), (3, 0.9805)):
        shown.trial_finished(record(number, value))
    shown.closed()
    marked = [line for line in text.getvalue().splitlines() if "← best" in line]
    assert len(marked) == 1 and "0.9805" in marked[0]


def test_fast_trials_are_told_together_and_none_is_left_out() -> None:
    clock = Clock()
    shown, text = progress(clock)
    for number in range(500):
        clock.now += 0.005
        shown.trial_finished(record(number, 0.5 + number / 1000, "pruned" if number % 4 == 0 else "complete"))
    shown.closed()
    lines = text.getvalue().splitlines()[1:]
    assert len(lines) <= 3 * 11
    together = [line for line in lines if "more" in line]
    assert sum(int(line.split()[1]) for line in together) + len(lines) - len(together) == 500
    assert "← best" in together[-1] and "trial 499: 0.9990" in together[-1]
    assert "pruned" in together[0] and "complete" in together[0]


def test_what_found_no_room_is_told_when_the_second_is_over_even_if_nothing_else_happens() -> None:
    clock = Clock()
    shown, text = progress(clock)
    for number in range(12):
        shown.trial_finished(record(number, None, "failed", "out of memory"))
    shown.tick()
    assert "more" not in text.getvalue()
    clock.now += 1.0
    shown.tick()
    assert "… 2 more (10 to 11): 2 failed  out of memory" in text.getvalue()


def test_the_live_display_costs_little_however_fast_trials_are() -> None:
    """A thousand trials of three epochs within a second: 0.03 ms for each, where it was a whole one."""
    clock = Clock()
    shown = Progress(
        Console(file=io.StringIO(), width=100, force_terminal=True), varied=frozenset(), plain=False, now=clock
    )
    shown.opened(OPENING)
    began = time.process_time()
    for number in range(1000):
        clock.now += 0.001
        shown.trial_started(Trial(number, Params({}), seed=0))
        for epoch in range(1, 4):
            shown.epoch(Epoch(number, epoch, {"val_accuracy": 0.5}, 0.001))
        shown.trial_finished(record(number))
    spent = time.process_time() - began
    shown.closed()
    assert spent < 0.3

"""Who looks on while a study runs: the command line's progress display, a notebook, nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from searchlab.records import Epoch, Objective, Trial, TrialRecord


@dataclass(frozen=True)
class Opening:
    """What is known when the first trial is about to start."""

    study: str
    objective: Objective
    budget: int
    finished: int
    """Trials that an earlier run of this study finished."""
    epochs: int
    workers: int
    description: str
    """The data, in one line."""
    timeout: float | None
    best: TrialRecord | None = None
    """The best trial of those that an earlier run finished."""


class Watcher(Protocol):
    """Told of everything as it happens, from the supervisor's own thread; must be quick and must not raise."""

    def stage(self, words: str) -> None:
        """Something that takes a while begins: "preparing the data" or "starting 2 workers"."""

    def opened(self, opening: Opening) -> None:
        """The first trial is about to start."""

    def trial_started(self, trial: Trial) -> None:
        """A child was given `trial`."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch ended."""

    def trial_finished(self, record: TrialRecord) -> None:
        """A trial is complete, pruned or failed."""

    def tick(self) -> None:
        """Nothing happened for a moment; a display may refresh its clock."""

    def closed(self) -> None:
        """No trial is running any more."""


class Nobody:
    """A watcher that looks away."""

    def stage(self, words: str) -> None:
        """Ignored."""

    def opened(self, opening: Opening) -> None:
        """Ignored."""

    def trial_started(self, trial: Trial) -> None:
        """Ignored."""

    def epoch(self, epoch: Epoch) -> None:
        """Ignored."""

    def trial_finished(self, record: TrialRecord) -> None:
        """Ignored."""

    def tick(self) -> None:
        """Ignored."""

    def closed(self) -> None:
        """Ignored."""

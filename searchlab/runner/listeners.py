"""Listeners of ours: what counts, and what tidies up, as a supervisor's trials come and go."""

from __future__ import annotations

from pathlib import Path

from searchlab.records import Epoch, Trial, TrialRecord
from searchlab.training import checkpoints


class Quiet:
    """A listener that does nothing."""

    def trial_started(self, trial: Trial) -> None:
        """Nothing."""

    def epoch(self, epoch: Epoch, *, attempt: int = 1) -> None:
        """Nothing."""

    def trial_finished(self, record: TrialRecord) -> None:
        """Nothing."""


class Counting(Quiet):
    """Counts what was trained here."""

    trials = 0

    def trial_finished(self, record: TrialRecord) -> None:
        """One more."""
        self.trials += 1


class Tidying(Quiet):
    """Removes the checkpoints of trials that have ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def trial_finished(self, record: TrialRecord) -> None:
        """Nobody will go on with it."""
        checkpoints.remove(self._folder, [record.trial.number])

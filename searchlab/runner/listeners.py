"""Listeners of ours: what counts, and what tidies up, as a supervisor's trials come and go."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from searchlab.records import Epoch, Trial, TrialRecord
from searchlab.reports import sameness
from searchlab.training import checkpoints

log = logging.getLogger(__name__)


class Quiet:
    """A listener that does nothing."""

    def trial_started(self, trial: Trial) -> None:
        """Nothing."""

    def epoch(self, epoch: Epoch, *, attempt: int = 1) -> None:
        """Nothing."""

    def trial_lost(self, trial_number: int, attempt: int) -> None:
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


class Doubting(Quiet):
    """Says at once, and once, when trials differ in nothing that was measured."""

    def __init__(self, metric: str, records: Iterable[TrialRecord] = ()) -> None:
        """`records` are those of earlier runs."""
        self._metric = metric
        self._tally = sameness.Tally()
        self._is_said = any([self._tally.take(record) is not None for record in records])

    def trial_finished(self, record: TrialRecord) -> None:
        """One more to compare."""
        found = self._tally.take(record)
        if found is not None and not self._is_said:
            self._is_said = True
            log.warning("%s", sameness.warning(self._metric, found))

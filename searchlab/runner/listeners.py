"""Listeners of ours: what counts, and what tidies up, as a supervisor's trials come and go."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from searchlab.records import Epoch, Trial, TrialRecord
from searchlab.reports import sameness
from searchlab.tracking import Session
from searchlab.training import checkpoints

log = logging.getLogger(__name__)


class Records(Protocol):
    """What has the trials of a study."""

    def record(self, trial_number: int) -> TrialRecord:
        """A trial as the storage knows it now."""


@dataclass(frozen=True)
class Legacy:
    """What supervisors that died have left to others."""

    lost: tuple[int, ...]
    """Trials that they worked on."""
    told: tuple[int, ...]
    """Trials that they had results of, which the storage had not got."""


class Ends(Protocol):
    """What hears of ends."""

    def trial_lost(self, trial_number: int, attempt: int) -> None:
        """See `Listener`."""

    def trial_finished(self, record: TrialRecord) -> None:
        """See `Listener`."""


def tell_lost(study: Records, trial_numbers: Iterable[int], listeners: Iterable[Ends]) -> None:
    """Tell of trials whose supervisor died: they wait again, or were lost too often and have failed.

    One that is complete by now was brought to its end by another supervisor, which tells of that itself.
    """
    for number in trial_numbers:
        record = study.record(number)
        for listener in listeners:
            if record.state == "failed":
                listener.trial_finished(record)
            else:
                listener.trial_lost(number, record.trial.attempt - 1)


def tell_legacy(study: Records, legacy: Legacy, session: Session) -> None:
    """Tell the tracker of the `legacy`; of runs that were begun it knows by itself."""
    tell_lost(study, legacy.lost, (session,))
    begun = {number for number, _ in session.left_behind()}
    for number in legacy.told:
        if number not in begun:
            session.trial_finished(study.record(number))


def tell_lost_before(records: Iterable[TrialRecord], session: Ends) -> None:
    """Say once more of each attempt but the last that it is lost.

    Where its run came to the tracker only after that was said, from a journal that its supervisor left behind, it would
    seem to run for ever.
    """
    for record in records:
        for attempt in range(1, record.trial.attempt):
            session.trial_lost(record.trial.number, attempt)


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

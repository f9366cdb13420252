"""What supervisors that died have left to others: results that nobody was told of, trials, runs that nobody ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from searchlab.failpoints import failpoint
from searchlab.records import ENDED, TrialRecord
from searchlab.runner.home import StudyFolder
from searchlab.runner.spool import Spool
from searchlab.search import leases
from searchlab.search.study import Study
from searchlab.tracking import Session


@dataclass(frozen=True)
class Legacy:
    """What was found."""

    lost: tuple[int, ...]
    """Trials that they worked on."""
    told: tuple[int, ...]
    """Trials that they had results of, which the storage had not got."""


class Records(Protocol):
    """What has the trials of a study."""

    def record(self, trial_number: int) -> TrialRecord:
        """A trial as the storage knows it now."""


class Ends(Protocol):
    """What hears of ends."""

    def trial_lost(self, trial_number: int, attempt: int) -> None:
        """See `searchlab.tracking.Session`."""

    def trial_finished(self, record: TrialRecord) -> None:
        """See `searchlab.tracking.Session`."""


def spool_of(study: Study, folder: StudyFolder) -> Spool:
    """Where the results of the study are safe on this machine."""
    return Spool(folder.folder, study.facts.get("uid"))


def take_up(study: Study, folder: StudyFolder) -> Legacy:
    """Be one of the study's supervisors; look after the results and the trials of those that died."""
    study.work_as(leases.Owner.here().name)
    spool = spool_of(study, folder)
    told = spool.tell(study)
    spool.reserve()
    legacy = Legacy(study.reap(), told)
    failpoint("study.joined")
    return legacy


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


def tell_left_behind(session: Session, records: Callable[[], Iterable[TrialRecord]]) -> None:
    """End the runs that sessions which died here had begun: as the storage has the trial, or else as lost.

    Of a later attempt its own supervisor tells.  Two that tell of one run at once would write its points twice.
    """
    left = session.left_behind()
    found = {record.trial.number: record for record in records()} if left else {}
    for number, attempt in left:
        session.trial_lost(number, attempt)
        record = found.get(number)
        if record is not None and record.state in ENDED and record.trial.attempt == attempt:
            session.trial_finished(record)


def tell_legacy(study: Records, legacy: Legacy, session: Session) -> None:
    """Tell the tracker of the `legacy`, but for what `tell_left_behind` has told."""
    tell_lost(study, legacy.lost, (session,))
    left = frozenset(session.left_behind())
    for number in legacy.told:
        record = study.record(number)
        if (number, record.trial.attempt) not in left:
            session.trial_finished(record)


def tell_lost_before(records: Iterable[TrialRecord], session: Ends) -> None:
    """Say once more of each attempt but the last that it is lost.

    Where its run came to the tracker only after that was said, from a journal that its supervisor left behind, it would
    seem to run for ever.
    """
    for record in records:
        for attempt in range(1, record.trial.attempt):
            session.trial_lost(record.trial.number, attempt)

"""What is left to be delivered from this machine, whether all has arrived, and writing again what has not."""

from __future__ import annotations

from contextlib import closing

from searchlab.records import StudyResult
from searchlab.runner.home import Home
from searchlab.runner.legacy import take_up, tell_legacy, tell_lost_before
from searchlab.runner.stored import open_study, read_study, stored_spec
from searchlab.runner.tracked import PATIENCE, experiment_of, open_session, start_of, tracker_of
from searchlab.spec import StudySpec
from searchlab.tracking import Audit, Delivery, StudyStart

BACKLOG = 3600.0
"""Seconds that a store which answers may take."""


def deliver(name: str, home: Home, storage: str | None) -> Delivery:
    """Deliver what sessions of the study `name` have left behind here; trials that nobody works on any more are ended.

    Raises:
        UnknownName: There is no such study.
        ServiceError: The storage cannot be reached; a tracking store out of reach raises nothing.
    """
    spec = stored_spec(name, home, storage)
    with closing(open_study(name, home, storage)) as study:
        legacy = take_up(study, home.study(name))
        session = open_session(spec, home, study.objective, study.facts, study.records, is_led_elsewhere=True)
        tell_legacy(study, legacy, session)
        tell_lost_before(study.records(), session)
        session.flush(BACKLOG)
        return session.close(PATIENCE)


def audit(name: str, home: Home, storage: str | None) -> Audit:
    """Compare the storage, the outbox of this machine and the tracking store.

    Raises:
        UnknownName: There is no such study.
        ServiceError: The storage or the tracking store cannot be reached.
    """
    spec, result, start = _stored(name, home, storage)
    return tracker_of(spec).audit(
        spec.tracking.uri, experiment=experiment_of(spec), home=home.folder, start=start, records=result.trials
    )


def rebuild(name: str, home: Home, storage: str | None) -> Delivery:
    """Write again what the tracking store lacks or has otherwise: runs that differ are deleted there first.

    Raises:
        UnknownName: There is no such study.
        ServiceError: The storage or the tracking store cannot be reached.
        StudyConflict: Somebody works on the study here.
    """
    spec, result, start = _stored(name, home, storage)
    return tracker_of(spec).rebuild(
        spec.tracking.uri, experiment=experiment_of(spec), home=home.folder, start=start, result=result
    )


def _stored(name: str, home: Home, storage: str | None) -> tuple[StudySpec, StudyResult, StudyStart]:
    spec, result = stored_spec(name, home, storage), read_study(name, home, storage)
    return spec, result, start_of(spec, result.objective, result.facts)

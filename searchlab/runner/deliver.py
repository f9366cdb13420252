"""What is left to be delivered from this machine: results to the storage, records to the tracking store."""

from __future__ import annotations

from contextlib import closing

from searchlab.runner.home import Home
from searchlab.runner.listeners import tell_lost
from searchlab.runner.session import work
from searchlab.runner.spool import Spool
from searchlab.runner.stored import open_study, stored_spec
from searchlab.runner.tracked import PATIENCE, open_session
from searchlab.tracking import Delivery

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
        lost = work(study, Spool(home.study(name).folder))
        session = open_session(spec, home, study.objective, study.facts, study.records, is_led_elsewhere=True)
        tell_lost(study, lost, (session,))
        session.flush(BACKLOG)
        return session.close(PATIENCE)

"""A worker of a team: it serves whatever study of the queue needs it most, for as long as it lives.

It asks anew which one that is every `SLICE` seconds, and when it has nothing left to do.  Trials under way are brought
to their end before it goes to another study; of one that was stopped they are left at the end of their epochs.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import TypeVar

from searchlab import devices
from searchlab.errors import SearchlabError, ServiceError
from searchlab.runner.home import Home
from searchlab.runner.session import Joined, join
from searchlab.runner.signals import stop_signals
from searchlab.runner.slots import CHILD_MEMORY
from searchlab.runner.stored import stored_spec
from searchlab.runner.supervisor import Wish
from searchlab.runner.watch import Watcher
from searchlab.search import leases
from searchlab.search.queue import ENDED, Queue
from searchlab.spec import StudySpec

SLICE = float(os.environ.get("SEARCHLAB_SLICE_SECONDS") or 60.0)
"""Seconds that a study is served before the queue is asked whether another one needs the worker more."""

PACE = 5.0
"""Seconds between two looks at the queue while a study is served."""

IDLE = 1.0
"""The same while there is nothing to do."""

SHUN = 60.0
"""Seconds for which a study is left alone that cannot be trained here."""

OVERRIDES = ("execution.gpus=auto", "execution.executor=local", "execution.address=null")
"""Of the study file: a worker takes what its machine has."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Server:
    """One worker: `watching` makes a watcher for each study that it serves."""

    def __init__(
        self,
        home: Home,
        storage: str,
        watching: Callable[[StudySpec], AbstractContextManager[Watcher]],
        *,
        workers: int | None = None,
    ) -> None:
        self._home = home
        self._storage = storage
        self._watching = watching
        self._workers = workers
        self._name = leases.Owner.here().name
        self._shunned: dict[str, float] = {}
        self._stops = False
        self._looked = self._began = 0.0
        self._next: str | None = None

    def serve(self) -> None:
        """Serve the queue until asked to stop (Ctrl-C, SIGTERM).

        Raises:
            ServiceError: The storage cannot be reached at the start.
        """
        with closing(Queue(self._storage)) as self._queue, stop_signals(self._stop):
            try:
                while not self._stops:
                    study, self._next = self._next or self._choose(None), None
                    if study is None:
                        self._rest(IDLE)
                    else:
                        self._serve(study)
            finally:
                self._leave()

    def _serve(self, study: str) -> None:
        log.info("serving %s", study)
        self._looked = self._began = time.monotonic()
        try:
            ours = (*OVERRIDES, *self._room(), *_tracking())
            spec = stored_spec(study, self._home, self._storage, overrides=ours)
            with self._watching(spec) as watcher:
                joined = join(spec, self._home, watcher, wish=lambda: self._wish(study), waits_for_others=False)
        except ServiceError as error:
            log.warning("%s", error)
            self._rest(PACE)
            return
        except SearchlabError as error:  # another worker may be able to
            self._shun(study, error)
            return
        except Exception as error:  # what the storage says of one study must not end the worker for all
            log.exception("a fault of searchlab, or something in the storage that it did not write")
            self._shun(study, error)
            return
        self._ended(study, joined)

    def _room(self) -> tuple[str, ...]:
        """How many children there shall be: a fair part of the cores, where several workers share a machine."""
        if self._workers is not None:
            return (f"execution.workers={self._workers}", "execution.threads=auto")
        if devices.gpus():
            return ("execution.workers=auto", "execution.threads=auto")
        here = leases.Owner.here().kernel
        known = (leases.Owner.of(other.worker) for other in self._sure(self._queue.at_work) or ())
        sharers = sum(owner is not None and owner.kernel == here for owner in known)
        part = max(1, devices.cores() // max(1, sharers))
        count = max(1, min(part, devices.memory() // CHILD_MEMORY))
        return (f"execution.workers={count}", f"execution.threads={max(1, part // count)}")

    def _ended(self, study: str, joined: Joined) -> None:
        log.info("%d trials of %s were trained here", joined.trials, study)
        if joined.ending == "interrupted":
            self._stops = True
        elif joined.ending == "done":
            self._shunned[study] = time.monotonic() + PACE  # its leader has yet to say that nothing is left
        elif joined.ending == "paused":
            log.warning("%s is paused: %s", study, joined.pause_reason)
            self._sure(lambda: self._queue.become(study, "paused", reason=joined.pause_reason))

    def _wish(self, study: str) -> Wish:
        """What the queue wants of this worker, which serves `study`."""
        if self._stops:
            return "leave"
        now = time.monotonic()
        if self._next is not None:
            return "finish"
        if now - self._looked < PACE:
            return "go on"
        self._looked = now
        state = self._sure(lambda: self._queue.look(self._name, study))
        if state in ENDED:
            return "leave"
        if state == "closing":
            return "finish"
        if state == "open" and now - self._began > SLICE:
            self._began = now
            chosen = self._choose(study)
            self._next = chosen if chosen != study else None
        return "go on"

    def _choose(self, current: str | None) -> str | None:
        now = time.monotonic()
        shunned = frozenset(study for study, until in self._shunned.items() if until > now)
        return self._sure(lambda: self._queue.choose(self._name, current, without=shunned))

    def _shun(self, study: str, error: Exception) -> None:
        log.warning("%s cannot be trained here: %s", study, error)
        self._shunned[study] = time.monotonic() + SHUN
        self._sure(lambda: self._queue.complain(study, self._name, str(error)))

    def _leave(self) -> None:
        self._sure(lambda: self._queue.leave(self._name))

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stops:
            time.sleep(0.1)

    def _sure(self, ask: Callable[[], T]) -> T | None:
        """What the queue says; None when it does not answer."""
        try:
            return ask()
        except ServiceError as error:
            log.warning("%s", error)
            return None

    def _stop(self) -> None:
        self._stops = True


def _tracking() -> tuple[str, ...]:
    """The team's tracking server, where this worker knows it: its password goes nowhere else, whatever a study says."""
    return ("tracking.uri=${SEARCHLAB_TRACKING}",) if os.environ.get("SEARCHLAB_TRACKING") else ()

"""A thread that delivers journals to the store, so that nobody waits for MLflow.

Steps are on the disk when `put` returns (`journal`); once a second, or at once when somebody waits, all that have come
together are written in one go: a trial shorter than that is then one piece (see `tables`).  What earlier sessions have
left behind goes first.  While the store is out of reach steps wait, one warning is logged every few minutes, and the
end of the session hardly waits for it: what is left then is delivered by the next session, or by `searchlab sync`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from searchlab.tracking import Delivery
from searchlab.tracking.mlflow.journal import Batch, Journal
from searchlab.tracking.mlflow.places import reason_of
from searchlab.tracking.mlflow.steps import Step
from searchlab.tracking.mlflow.store import Done, NotYet, Store

log = logging.getLogger(__name__)

GATHER = 1.0
"""Seconds that steps may wait for company."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
HOPE = 1.0
"""Seconds to wait, in all, for a store that did not answer the last time, from when somebody first asks for it."""
WARN_EVERY = 300.0


class Writer:
    """The journals, their thread, and the count of what became of the steps."""

    def __init__(
        self, connect: Callable[[], Store], begin: Callable[[], Journal], left: Sequence[Journal] = ()
    ) -> None:
        """`begin` makes the session's own journal with its first step; `left` are those that others left behind."""
        self._connect = connect
        self._begin = begin
        self._journals = list(left)
        self._own: Journal | None = None
        self._changed = threading.Condition()
        self._is_urgent = False
        self._is_asked = False
        self._is_closing = False
        self._is_closed = False
        self._failures = 0
        self._asked_at: float | None = None
        self._attempts = 0
        self._delivered = 0
        self._refused = 0
        self._reason = ""
        self._warned: float | None = None
        self.store: Store | None = None
        self._thread = threading.Thread(target=self._run, name="searchlab-mlflow", daemon=True)
        self._thread.start()

    def put(self, steps: Iterable[Step]) -> None:
        """Hand in `steps`; returns at once."""
        new = list(steps)
        with self._changed:
            if not new or self._is_closing:
                return
            if self._own is None:
                self._own = self._begin()
                self._journals.append(self._own)
            self._own.append(new)
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until all is delivered, the store fails once more, or time is up; whether it is delivered.

        A store that has failed the last time is given a second in all, and as long as any other when it answers.
        """
        with self._changed:
            attempts = self._attempts
            self._is_urgent = self._is_asked = True
            self._changed.notify_all()

            def is_settled() -> bool:
                return not self._waiting or (self._failures > 0 and self._attempts > attempts)

            if self._failures > 0:
                self._changed.wait_for(lambda: is_settled() or self._failures == 0, min(self._hope(), timeout))
            if self._failures == 0:
                self._changed.wait_for(is_settled, timeout)
            return not self._waiting

    def close(self, timeout: float) -> Delivery:
        """Try everything once more, as `flush` does; the rest stays where it is."""
        with self._changed:
            self._is_closing = self._is_urgent = True
            self._changed.notify_all()
        self._wait_for_end(timeout)
        with self._changed:
            left = self._waiting
            self._is_closed = True
            for journal in self._journals:
                journal.close()
            return Delivery(
                delivered=self._delivered,
                undelivered=left,
                unkept=sum(journal.unkept for journal in self._journals),
                refused=self._refused,
                kept_in=str(self._journals[-1].path.parent) if left or self._refused else None,
                reason=self._reason or ("the store is slow to answer" if left else ""),
            )

    def _wait_for_end(self, timeout: float) -> None:
        until = time.monotonic() + timeout
        with self._changed:
            hope = self._hope() if self._failures > 0 else timeout
        self._thread.join(min(hope, timeout))
        with self._changed:
            if self._failures > 0:
                return
        self._thread.join(max(0.0, until - time.monotonic()))

    def _hope(self) -> float:
        """Seconds that a store which fails still has."""
        now = time.monotonic()
        self._asked_at = now if self._asked_at is None else self._asked_at
        return max(0.0, HOPE - (now - self._asked_at))

    @property
    def _waiting(self) -> int:
        return sum(journal.waiting for journal in self._journals)

    def _run(self) -> None:
        batch: Batch | None = None
        done: Done = {}
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                if not self._is_urgent:
                    self._changed.wait_for(lambda: self._is_urgent or self._is_closing, GATHER)
                if self._is_closed:  # while the store held this thread
                    return
                journal = next((journal for journal in self._journals if journal.waiting), None)
                self._is_asked = False
                if journal is None:
                    self._is_urgent = False
                    if self._is_closing:
                        return
                    continue
                if batch is None:  # else the last one failed, and parts of it are done
                    batch, done = journal.batch(), {}
                self._is_urgent = self._waiting > batch.count
            journal.sync()
            before = len(done)
            try:
                if self.store is None:
                    self.store = self._connect()
                refused = self.store.write(batch.steps, done)
            except Exception as error:  # whatever MLflow, requests or SQLAlchemy raise: training must go on
                if self._wait_after(error, comes_on=len(done) > before):
                    return
                continue
            with self._changed:
                journal.sent(batch, [step for step, _ in refused])
                finished, batch = batch, None
                lost = len(refused) + len(finished.spoiled)
                self._attempts += 1
                self._failures = 0
                self._asked_at = None
                self._delivered += sum(step.kind != "session" for step in finished.steps) - len(refused)
                self._refused += lost
                self._is_urgent = self._is_urgent and self._waiting > 0
                if lost:
                    self._reason = refused[-1][1] if refused else "lines that cannot be read"
                self._changed.notify_all()
            if lost:
                self._warn(f"MLflow refused {lost} records: {self._reason}")

    def _wait_after(self, error: Exception, *, comes_on: bool) -> bool:
        """Count a failure and pause, shortly where something was done; whether to give up (the session is closing)."""
        reason = reason_of(error)
        with self._changed:
            self._attempts += 1
            self._failures = 1 if comes_on else self._failures + 1
            self._reason = reason
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures - 1, 10))
            self._changed.notify_all()
            if self._is_closing:
                return True
            waiting = self._waiting
        if not isinstance(error, NotYet):
            self._warn(f"MLflow is out of reach; training goes on and {waiting} records wait: {reason}")
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing or self._is_asked, pause)
        return False

    def _warn(self, text: str) -> None:
        now = time.monotonic()
        if self._warned is None or now - self._warned >= WARN_EVERY:
            self._warned = now
            log.warning(text)

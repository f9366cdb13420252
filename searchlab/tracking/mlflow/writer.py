"""A thread that delivers steps to the store, so that nobody waits for MLflow.

Steps queue up in memory; once a second, or at once when somebody waits, all that have queued are written together: a
trial shorter than that is then one piece (see `tables`).  While
the store is out of reach they wait, one warning is logged every few minutes, and what is left at the end goes to a
file of one step a line (`steps.to_line`), from which it can be delivered later.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from searchlab.tracking import Delivery
from searchlab.tracking.mlflow.outbox import BATCH, Outbox
from searchlab.tracking.mlflow.places import reason_of
from searchlab.tracking.mlflow.steps import Step
from searchlab.tracking.mlflow.store import Store

log = logging.getLogger(__name__)

GATHER = 1.0
"""Seconds that steps may wait for company."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
WARN_EVERY = 300.0


class Writer:
    """The queue, its thread, and the count of what became of the steps."""

    def __init__(self, connect: Callable[[], Store], *, experiment: str, outbox: Path) -> None:
        self._connect = connect
        self._experiment = experiment
        self._outbox = outbox
        self._queue: deque[Step] = deque()
        self._changed = threading.Condition()
        self._is_urgent = False
        self._is_asked = False
        self._is_closing = False
        self._failures = 0
        self._attempts = 0
        self._delivered = 0
        self._refused: list[Step] = []
        self._reason = ""
        self._warned: float | None = None
        self.store: Store | None = None
        self._thread = threading.Thread(target=self._run, name="searchlab-mlflow", daemon=True)
        self._thread.start()

    def put(self, steps: Iterable[Step]) -> None:
        """Queue `steps`; returns at once."""
        new = list(steps)
        with self._changed:
            if self._is_closing:
                self._refused += new
                return
            self._queue.extend(new)
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until the queue is empty, the store fails once more, or time is up; whether it is empty."""
        with self._changed:
            attempts = self._attempts
            self._is_urgent = self._is_asked = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: not self._queue or (self._failures > 0 and self._attempts > attempts), timeout
            )
            return not self._queue

    def close(self, timeout: float) -> Delivery:
        """Try everything once more for at most `timeout` seconds; the rest goes to the outbox file."""
        with self._changed:
            self._is_closing = True
            self._is_urgent = True
            self._changed.notify_all()
        self._thread.join(timeout)
        with self._changed:
            left = list(self._queue)
            self._queue.clear()
            lost = [*self._refused, *left]
            if lost:
                Outbox(self._outbox).add(lost, self._experiment)
            return Delivery(
                delivered=self._delivered,
                undelivered=len(left),
                refused=len(self._refused),
                kept_in=str(self._outbox) if lost else None,
                reason=self._reason or ("the store is slow to answer" if left else ""),
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._is_closing)
                if not self._is_urgent:
                    self._changed.wait_for(lambda: self._is_urgent or self._is_closing, GATHER)
                batch = list(islice(self._queue, BATCH))
                self._is_asked = False
                self._is_urgent = len(self._queue) > len(batch)
                if not batch:
                    return
            try:
                if self.store is None:
                    self.store = self._connect()
                refused = self.store.write(batch)
            except Exception as error:  # whatever MLflow, requests or SQLAlchemy raise: training must go on
                if self._wait_after(error):
                    return
                continue
            self._settle(batch, refused)

    def _settle(self, batch: list[Step], refused: list[tuple[Step, str]]) -> None:
        with self._changed:
            for _ in batch[: len(self._queue)]:  # close() may have taken them meanwhile
                self._queue.popleft()
            self._attempts += 1
            self._failures = 0
            self._delivered += len(batch) - len(refused)
            self._refused += [step for step, _ in refused]
            if refused:
                self._reason = refused[-1][1]
            self._changed.notify_all()
        if refused:
            self._warn(f"MLflow refused {len(refused)} records: {self._reason}")

    def _wait_after(self, error: Exception) -> bool:
        """Count a failure and pause; whether to give up (the session is closing)."""
        reason = reason_of(error)
        with self._changed:
            self._attempts += 1
            self._failures += 1
            self._reason = reason
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures - 1, 10))
            self._changed.notify_all()
            if self._is_closing:
                return True
        self._warn(f"MLflow is out of reach; training goes on and {len(self._queue)} records wait: {reason}")
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing or self._is_asked, pause)
        return False

    def _warn(self, text: str) -> None:
        now = time.monotonic()
        if self._warned is None or now - self._warned >= WARN_EVERY:
            self._warned = now
            log.warning(text)

"""Leading a study of a team's queue: nothing is trained here, workers do that; its end is made here.

The queue hears how it goes: how many trials wait for a worker, how many have ended and the best of them.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from searchlab.errors import AllTrialsFailed, Interrupted, SearchlabError, ServiceError, SpecError, StudyBusy
from searchlab.records import best_of
from searchlab.runner.admission import ROOTS, admitted, roots
from searchlab.runner.home import Home
from searchlab.runner.session import Outcome, run
from searchlab.runner.supervisor import Wish
from searchlab.runner.watch import Nobody, Opening
from searchlab.search.queue import ENDED, Queue, State
from searchlab.search.study import Study
from searchlab.spec import StudySpec

OVERRIDES = ("execution.workers=0", "execution.executor=local", "execution.address=null")
"""Of the study file: who leads trains nothing."""

PACE = 1.0
"""Seconds between two looks at the storage."""

log = logging.getLogger(__name__)


def lead(name: str, home: Home, storage: str) -> Outcome | None:
    """Lead the study `name` of the queue in `storage` to its end; None when it shall go on later.

    Raises:
        UnknownName: It was never submitted.
        SearchlabError: Whatever `run` raises; the queue is told.
    """
    with closing(Queue(storage)) as queue:
        entry = queue.entry(name)
        try:
            spec = admitted(name, entry.spec, folders=_roots(), overrides=OVERRIDES)
            telling = _Telling(queue, spec, storage)
            outcome = run(spec, home, telling, wish=telling.wish)
        except (ServiceError, StudyBusy):  # it goes on when that answers again, or when the other is gone
            raise
        except SearchlabError as error:
            queue.become(name, "failed", words=str(error), exit_code=error.exit_code)
            raise
        telling.count()
        if outcome.ending == "interrupted":
            return None
        state: State = "done"
        if outcome.ending == "called away" and (state := queue.entry(name).state) not in ENDED:
            return None
        status = Interrupted.exit_code if state == "stopped" else AllTrialsFailed.exit_code
        if state == "done" and outcome.result.best is not None:
            status = 0
        queue.become(name, state, words="\n".join(outcome.lines), view=outcome.view, exit_code=status)
        return outcome


def _roots() -> tuple[Path, ...]:
    """Where the files of a team's studies lie; the folder that the queue names may be anybody's word."""
    told = roots()
    if not told:
        raise SpecError(
            f"{ROOTS} is not set; the evaluator of a team leads its studies, and says where their files lie"
        )
    return told


class _Telling(Nobody):
    """A watcher that tells the queue, and hears from it what is wanted."""

    def __init__(self, queue: Queue, spec: StudySpec, storage: str) -> None:
        self._queue = queue
        self._spec = spec
        self._storage = storage
        self._study: Study | None = None
        self._began = self._looked = time.monotonic()
        self._parent = os.getppid()
        self._is_orphan = False
        self._wish: Wish = "go on"

    def stage(self, words: str) -> None:
        """See `Watcher`."""
        log.info("%s", words)
        self._sure(lambda: self._queue.tell(self._spec.name, wanted=0, doing=words))

    def opened(self, opening: Opening) -> None:
        """See `Watcher`."""
        metric, direction = opening.objective.metric, opening.objective.direction
        self._study = Study.open(self._storage, self._spec.name)
        self._began = time.monotonic()
        told = {"doing": "searching", "metric": metric, "direction": direction, "budget": opening.budget}
        self._sure(lambda: self._open(data=opening.description, **told))

    def _open(self, **told: Any) -> None:
        """Let workers come, unless somebody has stopped the study meanwhile."""
        if self._queue.entry(self._spec.name).state not in ENDED:
            self._queue.become(self._spec.name, "open", **told)

    def tick(self) -> None:
        """See `Watcher`."""
        if time.monotonic() - self._looked > PACE:
            self._looked = time.monotonic()
            self._sure(self.count)

    def wish(self) -> Wish:
        """See `Supervisor.wish`."""
        if os.getppid() != self._parent and not self._is_orphan:  # another evaluator will have it led
            self._is_orphan = True
            os.kill(os.getpid(), signal.SIGTERM)
        return self._wish

    def count(self) -> None:
        """Tell how many trials there are of each kind, and look at what is wanted."""
        if self._study is None:
            return
        state = self._queue.entry(self._spec.name).state
        limit = self._spec.search.timeout
        if state == "open" and limit is not None and time.monotonic() - self._began > limit:
            self._queue.become(self._spec.name, state := "closing")
        self._wish = "finish" if state == "closing" else "leave" if state in ENDED else "go on"
        left = self._study.remaining(self._spec.search.trials)
        records = self._study.records()
        counts = Counter(record.state for record in records)
        best = best_of(records, self._study.objective)
        self._queue.tell(
            self._spec.name,
            wanted=left if state == "open" else 0,
            trials=dict(counts),
            best=None if best is None else {"trial": best.trial.number, "value": best.value},
        )

    def _sure(self, tell: Callable[[], object]) -> None:
        """Tell the queue, or leave it to the next time when the storage does not answer."""
        try:
            tell()
        except ServiceError as error:
            log.warning("%s", error)

"""The loop that keeps children busy: ask, hand out, listen, judge, tell.

Why the verdict on pruning is awaited by the child: with one worker the whole study is then a function of its seed.
A verdict costs a few milliseconds; an epoch that was trained for nothing costs far more.
"""

from __future__ import annotations

import itertools
import logging
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Literal, ParamSpec, Protocol, TypeAlias, TypeVar

from searchlab.errors import ServiceError, StorageLost
from searchlab.executors import Death, Message, Pool
from searchlab.records import Cohort, Epoch, Objective, Trial, TrialRecord, TrialResult
from searchlab.runner.messages import Epochs, Idle, Job, Ready, Verdict
from searchlab.runner.watch import Watcher
from searchlab.space import Value

log = logging.getLogger(__name__)

Ending: TypeAlias = Literal["done", "out of time", "interrupted", "paused"]

P = ParamSpec("P")
T = TypeVar("T")

Shape: TypeAlias = tuple[tuple[str, Value], ...]
"""What the trials of a cohort share: `Params.shape_key`."""

EQUAL_FAILURES = 5
"""So many trials in a row that fail with the same words mean a wrong set-up, not wrong parameters."""

DEATHS_IN_A_ROW = 3
"""So many children that die without one finished trial between them stop the study."""

PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between attempts to reach a storage that does not answer; the last one for ever."""

SHAPES_REMEMBERED = 8
"""So many shapes a child is taken to hold the traced programs of, the latest first."""


class Study(Protocol):
    """What the loop asks of the search wing."""

    def ask_next(self, budget: int | None = None) -> Cohort:
        """Claim the next trial; none when others have asked for all of the `budget`."""

    def ask_cohort(
        self,
        most: int,
        *,
        left: int,
        is_value: Callable[[str], bool],
        budget: int | None,
        prefer: Sequence[Shape],
        avoid: Collection[Shape],
    ) -> Cohort:
        """Claim up to `most` trials of one shape; none when another supervisor was quicker."""

    def retry_alone(self, trial_numbers: Iterable[int]) -> None:
        """Give running trials another attempt, each in a cohort of one."""

    def judge(self, points: Sequence[tuple[int, int, float]]) -> frozenset[int]:
        """Store the objective of several trials, each as (number, epoch, value); the numbers of those to prune."""

    def tell(self, result: TrialResult) -> None:
        """Store how a trial ended."""

    def remaining(self, budget: int) -> int:
        """Trials still to be asked for."""

    def running(self) -> int:
        """Trials that run, here or elsewhere."""

    def reap(self) -> tuple[int, ...]:
        """Say that this supervisor is alive, and have the trials of those that are not wait again; their numbers."""

    def record(self, trial_number: int) -> TrialRecord:
        """A trial as the storage knows it now."""


class Spool(Protocol):
    """What the loop asks of the place where results are safe."""

    def put(self, result: TrialResult) -> None:
        """Keep a result, whatever becomes of the storage."""


class Listener(Protocol):
    """What the loop asks of the tracking wing; every call returns at once."""

    def trial_started(self, trial: Trial) -> None:
        """A child was given `trial`."""

    def epoch(self, epoch: Epoch, *, attempt: int = 1) -> None:
        """An epoch of a trial ended."""

    def trial_finished(self, record: TrialRecord) -> None:
        """A trial is complete, pruned or failed."""


@dataclass(frozen=True)
class Limits:
    """When to stop asking for trials."""

    budget: int
    timeout: float | None = None
    """Seconds from the start of this run; trials under way are finished."""
    keep_weights: int = 3
    cohort: int = 1
    """The most trials that are trained together."""
    lease: float = 60.0
    """Seconds after which a supervisor that says nothing is taken for dead."""


@dataclass
class Supervisor:
    """One run of the loop.  Never trains, so nothing that training does can stop it."""

    study: Study
    pool: Pool
    objective: Objective
    limits: Limits
    prunes: bool
    listeners: tuple[Listener, ...]
    watcher: Watcher
    spool: Spool
    ready: list[Ready] = field(default_factory=list)
    """What each child said of its versions and devices."""
    workers: int = 1
    """How many children there will be."""
    is_value: Callable[[str], bool] | None = None
    """Which parameters may differ within a cohort; None hands out one trial after another, in the order of draws."""
    pause_reason: str | None = None

    def __post_init__(self) -> None:
        self._idle: set[int] = set()
        self._running: dict[int, dict[int, Trial]] = {}
        self._cohort_size: dict[int, int] = {}
        self._shapes: dict[int, deque[Shape]] = {}
        self._stop = False
        self._seen = time.monotonic()
        self._failures: list[str] = []
        self._deaths = 0
        self._weights: list[tuple[float, Path]] = []

    def run(self) -> Ending:
        """Work until the budget is spent, time is up, someone asks to stop, or the set-up turns out to be broken."""
        started = time.monotonic()
        ending: Ending = "done"
        is_waiting = False
        with _stop_signals(self._request_stop):
            while True:
                out_of_time = self.limits.timeout is not None and time.monotonic() - started > self.limits.timeout
                if self._stop or self.pause_reason:
                    ending = "interrupted" if self._stop else "paused"
                    break
                if self._idle and not out_of_time:
                    self._hand_out()
                if not self._running and (out_of_time or self._idle):
                    left = self._sure(self.study.remaining, self.limits.budget)
                    elsewhere = self._sure(self.study.running) if left <= 0 else 0
                    if out_of_time or (left <= 0 and not elsewhere):
                        ending = "out of time" if left > 0 else "done"
                        break
                    if elsewhere and not is_waiting:  # theirs may be lost, and wait again
                        is_waiting = True
                        self.watcher.stage(f"waiting for {elsewhere} trials of other workers")
                for item in self.pool.wait(0.25):
                    self._take(item)
                self._show_life()
                self.watcher.tick()
        return ending

    @property
    def unfinished(self) -> tuple[Trial, ...]:
        """The trials that were under way when the loop ended."""
        return tuple(trial for trials in self._running.values() for trial in trials.values())

    def remember_weights(self, records: Iterator[TrialRecord]) -> None:
        """Count the weights of earlier trials among those to keep."""
        for record in records:
            if record.state == "complete" and record.value is not None and record.result and record.result.weights:
                self._weights.append((record.value, Path(record.result.weights)))

    # Handing out -------------------------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        for slot in sorted(self._idle):
            left = self._sure(self.study.remaining, self.limits.budget)
            cohort = self._next_cohort(slot, left) if left > 0 else Cohort(())
            if not cohort.trials:
                return
            self._idle.discard(slot)
            self._running[slot] = {trial.number: trial for trial in cohort.trials}
            self._cohort_size[slot] = len(cohort.trials)
            for trial in cohort.trials:
                for listener in self.listeners:
                    listener.trial_started(trial)
                self.watcher.trial_started(trial)
            try:
                self.pool.send(slot, Job(cohort))
            except BrokenPipeError:  # its Death comes with the next wait and ends the trials
                log.debug("slot %d died before it was given trial %d", slot, cohort.trials[0].number)

    def _next_cohort(self, slot: int, left: int) -> Cohort:
        """What to train in `slot`, of a shape that its child knows where there is a choice.

        The first cohorts are equal shares of what is left.  A later one is a worker's share of it, so that cohorts
        shrink towards the end and all workers end together (Polychronopoulos & Kuck 1987, guided self-scheduling).
        """
        if self.is_value is None:
            return self._sure(self.study.ask_next, self.limits.budget)
        begun = 0 if slot in self._shapes else len(self._shapes)
        share = math.ceil(left / max(1, self.workers - begun))
        shapes = self._shapes.setdefault(slot, deque(maxlen=SHAPES_REMEMBERED))
        cohort = self._sure(
            self.study.ask_cohort,
            min(self.limits.cohort, share),
            left=left,
            is_value=self.is_value,
            budget=self.limits.budget,
            prefer=tuple(shapes),
            avoid=frozenset(others[0] for other, others in self._shapes.items() if other != slot and others),
        )
        if cohort.trials:
            shape = cohort.trials[0].params.shape_key(self.is_value)
            if shape in shapes:
                shapes.remove(shape)
            shapes.appendleft(shape)
        return cohort

    def _show_life(self) -> None:
        """Renew the leases of what runs here, and look for trials whose supervisor died elsewhere."""
        now = time.monotonic()
        if now - self._seen < self.limits.lease / 3:
            return
        self._seen = now
        for number in self._sure(self.study.reap):
            log.warning("trial %d was lost: its supervisor is gone; it waits for another attempt", number)

    # Listening ---------------------------------------------------------------------------------------------------

    def _take(self, item: Message | Death) -> None:
        if isinstance(item, Death):
            self._bury(item)
            return
        match item.content:
            case Ready():
                self.ready.append(item.content)
                self._idle.add(item.slot)
            case Idle():
                self._running.pop(item.slot, None)
                self._idle.add(item.slot)
            case Epochs():
                self._judge(item.slot, item.content.epochs)
            case TrialResult():
                self._deaths = 0
                self._finish(item.slot, item.content)
            case other:
                raise AssertionError(f"a child said {other!r}")

    def _judge(self, slot: int, epochs: tuple[Epoch, ...]) -> None:
        metric = self.objective.metric
        points = [(e.trial, e.epoch, e.metrics.get(metric, float("nan"))) for e in epochs]
        stop = self._sure(self.study.judge, points)
        if self.prunes:
            try:
                self.pool.send(slot, Verdict(stop))
            except BrokenPipeError:
                log.debug("slot %d died before its verdict", slot)
        for epoch in epochs:
            attempt = self._running[slot][epoch.trial].attempt
            for listener in self.listeners:
                listener.epoch(epoch, attempt=attempt)
            self.watcher.epoch(epoch)

    def _finish(self, slot: int, result: TrialResult) -> None:
        self._running[slot].pop(result.trial, None)
        self.spool.put(result)
        self._sure(self.study.tell, result)
        record = self._sure(self.study.record, result.trial)
        for listener in self.listeners:
            listener.trial_finished(record)
        self.watcher.trial_finished(record)
        self._keep_best_weights(record)
        self._failures = [*self._failures, result.reason or "failed"] if result.state == "failed" else []
        if len(self._failures) >= EQUAL_FAILURES and len(set(self._failures[-EQUAL_FAILURES:])) == 1:
            self.pause_reason = (
                f"{EQUAL_FAILURES} trials in a row failed with {self._failures[-1]!r}; "
                "that is likely the set-up, not the parameters"
            )

    def _bury(self, death: Death) -> None:
        self._idle.discard(death.slot)
        lost = self._running.pop(death.slot, {})
        self._shapes.get(death.slot, deque()).clear()
        if self._cohort_size.get(death.slot, 1) > 1:  # whose fault it was shows when they are trained alone
            self._sure(self.study.retry_alone, tuple(lost))
            lost = {}
        for trial in lost.values():
            self._running[death.slot] = {trial.number: trial}
            reason = f"the training process died: {death.reason}"
            self._finish(death.slot, TrialResult(trial.number, "failed", None, reason=reason, detail=death.log_tail))
        self._running.pop(death.slot, None)
        self._deaths += 1
        if self._deaths >= DEATHS_IN_A_ROW:
            self.pause_reason = (
                f"{self._deaths} training processes died one after another: {death.reason}\n{death.log_tail}"
            )
            return
        log.warning("child %d died (%s); starting another", death.slot, death.reason)
        self.pool.restart(death.slot)

    def _keep_best_weights(self, record: TrialRecord) -> None:
        if record.result is None or record.result.weights is None:
            return
        path = Path(record.result.weights)
        if record.state != "complete" or record.value is None:
            path.unlink(missing_ok=True)
            return
        self._weights.append((record.value, path))
        self._weights.sort(key=lambda pair: pair[0], reverse=self.objective.direction == "maximize")
        for _, surplus in self._weights[max(1, self.limits.keep_weights) :]:
            surplus.unlink(missing_ok=True)
        del self._weights[max(1, self.limits.keep_weights) :]

    def _sure(self, ask: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What the storage answers, however long it is out of reach; children go on meanwhile.

        Raises:
            ServiceError: It does not answer, and someone has asked to stop.
            StorageLost: It is gone or damaged.
        """
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            try:
                return ask(*arguments, **named)
            except ServiceError as error:
                if self._stop or isinstance(error, StorageLost):
                    raise
                log.warning("%s; trying again in %g s", error, pause)
                until = time.monotonic() + pause
                while time.monotonic() < until and not self._stop:
                    time.sleep(0.1)
        raise AssertionError("the pauses have no end")

    def _request_stop(self) -> None:
        self._stop = True


@contextmanager
def _stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """While inside, the first SIGINT or SIGTERM calls `stop`, a second one raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            raise KeyboardInterrupt
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""The loop that keeps children busy: ask, hand out, listen, judge, tell.

Why the verdict on pruning is awaited by the child: with one worker the whole study is then a function of its seed.
A verdict costs a few milliseconds; an epoch that was trained for nothing costs far more.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, ParamSpec, Protocol, TypeAlias, TypeVar

from searchlab.errors import DeviceMissing, ServiceError, StorageLost
from searchlab.executors import Death, Message, Pool
from searchlab.failpoints import failpoint
from searchlab.records import Cause, Cohort, Epoch, Objective, Trial, TrialRecord, TrialResult
from searchlab.runner.best_weights import BestWeights
from searchlab.runner.failures import Failures, cause_of
from searchlab.runner.legacy import tell_lost
from searchlab.runner.messages import Epochs, Idle, Job, Leave, Left, Ready, Verdict
from searchlab.runner.patience import Patience
from searchlab.runner.signals import stop_signals
from searchlab.runner.watch import Watcher
from searchlab.space import Value

log = logging.getLogger(__name__)

Ending: TypeAlias = Literal["done", "out of time", "interrupted", "paused", "called away"]

Wish: TypeAlias = Literal["go on", "finish", "leave"]
"""Of somebody else: to ask for no more trials, or to leave those under way at the end of their epochs."""

P = ParamSpec("P")
T = TypeVar("T")

Shape: TypeAlias = tuple[tuple[str, Value], ...]
"""What the trials of a cohort share: `Params.shape_key`."""

ATTEMPTS: dict[Cause, int] = {"lost": 3, "stalled": 2}
"""How often a trial is trained whose process ends so; it may be what ends it."""

ON_SHARED_GPU = 2
"""How often a trial is trained that finds too little memory on a GPU which it has not got for itself."""

FAREWELL = 15.0
"""Seconds that children have for ending their epoch and keeping a checkpoint when the run is asked to stop."""

PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between attempts to reach a storage that does not answer; the last one for ever."""

LOOK = 1.0
"""Seconds between looks at the storage of a supervisor that has no children of its own."""

SHAPES_REMEMBERED = 8
"""So many shapes a child is taken to hold the traced programs of, the latest first."""


def go_on() -> Wish:
    """The wish of nobody."""
    return "go on"


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

    def retry(self, trial_number: int, attempts: int) -> bool:
        """Give a running trial another attempt; False when it was lost in so many `attempts` already."""

    def give_back(self, trial_numbers: Iterable[int]) -> None:
        """Have running trials wait for another attempt; nothing is counted against them."""

    def judge(self, points: Sequence[tuple[int, int, float]]) -> frozenset[int]:
        """Store the objective of several trials, each as (number, epoch, value); the numbers of those to prune."""

    def tell(self, result: TrialResult) -> bool:
        """Store how a trial ended; False when another supervisor was quicker, or works on it by now."""

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

    def put(self, result: TrialResult, curve: Mapping[int, float], trial: Trial | None) -> None:
        """Keep a result, the objective after each epoch and what was trained, whatever becomes of the storage."""


class Listener(Protocol):
    """What the loop asks of the tracking wing; every call returns at once."""

    def trial_started(self, trial: Trial) -> None:
        """A child was given `trial`."""

    def epoch(self, epoch: Epoch, *, attempt: int = 1) -> None:
        """An epoch of a trial ended."""

    def trial_lost(self, trial_number: int, attempt: int) -> None:
        """Nobody works on this attempt any more; there may be another."""

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
    trial_timeout: float | None = None
    """Seconds of training that a trial may take."""
    epochs: int | None = None
    """The most that a trial trains; the last one is not too late."""
    stall_limit: float = 1800.0
    """Seconds that a child may say nothing."""


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
    gpus: Mapping[int, str] = field(default_factory=dict)
    """The GPU that each child was given, by slot; those without one are not in it."""
    sharing: frozenset[int] = frozenset()
    """The slots whose GPU has other children too, which may be who took the memory that a trial lacks."""
    needs_gpus: bool = False
    """Whether GPUs were asked for, so that to go on without is none."""
    waits_for_others: bool = True
    """Whether to stay while trials run elsewhere, which may be lost, when none is left to ask for."""
    wish: Callable[[], Wish] = go_on
    """What somebody else wants of this supervisor now; asked several times a second."""
    pause_reason: str | None = None

    def __post_init__(self) -> None:
        self._idle: set[int] = set()
        self._running: dict[int, dict[int, Trial]] = {}
        self._left: dict[int, Trial] = {}
        self._cohort_size: dict[int, int] = {}
        self._shapes: dict[int, deque[Shape]] = {}
        self._stop = False
        self._is_leaving = False
        self._seen = time.monotonic()
        self._looked = 0.0
        self._is_waiting = False
        self._failures = Failures()
        self._patience = Patience(self.limits.stall_limit)
        self._killed: dict[int, Cause] = {}
        self._unfit: dict[int, tuple[Cause, Death]] = {}
        """Children that live and shall train nothing more after this job, and why."""
        self._quarantined: set[int] = set()
        self._seconds: dict[int, float] = {}
        self._curves: dict[int, dict[int, float]] = {}
        self._overdue: set[int] = set()
        self._weights = BestWeights(self.limits.keep_weights, self.objective.direction)

    def run(self) -> Ending:
        """Work until the budget is spent, time is up, someone asks to stop, or the set-up turns out to be broken.

        Without workers of its own it waits until others have done all that.
        """
        started = time.monotonic()
        for slot in range(self.workers):
            self._patience.heard(slot)
        with stop_signals(self._request_stop):
            while True:
                wish = self.wish()
                if self._stop or self.pause_reason or wish == "leave":
                    self._leave()
                    return "interrupted" if self._stop else "paused" if self.pause_reason else "called away"
                is_late = self.limits.timeout is not None and time.monotonic() - started > self.limits.timeout
                is_over = is_late or wish == "finish"
                if self._idle and not is_over:
                    self._hand_out()
                if not self._running and (is_over or self._idle or not self.workers):
                    if ending := self._ending(is_over):
                        return ending
                for item in self.pool.wait(0.25):
                    self._take(item)
                self._show_life()
                self._lose_patience()
                self.watcher.tick()

    @property
    def unfinished(self) -> tuple[Trial, ...]:
        """The trials that were under way when the loop ended."""
        running = (trial for trials in self._running.values() for trial in trials.values())
        return (*self._left.values(), *running)

    def remember_weights(self, records: Iterable[TrialRecord]) -> None:
        """Count the weights of earlier trials among those to keep."""
        self._weights.remember(records)

    def _ending(self, is_over: bool) -> Ending | None:
        """How the run ends where nothing runs here, if it does; it waits for what runs elsewhere."""
        if not self.workers and time.monotonic() - self._looked < LOOK:
            return None
        self._looked = time.monotonic()
        left = self._sure(self.study.remaining, self.limits.budget)
        looks = self.waits_for_others and (left <= 0 or not self.workers)
        elsewhere = self._sure(self.study.running) if looks else 0
        if is_over and (self.workers or not elsewhere):
            return "out of time" if left > 0 else "done"
        if left <= 0 and not elsewhere:
            return "done"
        if elsewhere and not self._is_waiting:  # theirs may be lost, and wait again
            self._is_waiting = True
            self.watcher.stage(f"waiting for {elsewhere} trials of other workers")
        return None

    def _leave(self) -> None:
        """Have children end their epochs, keep checkpoints of what is not done, and leave."""
        self._is_leaving = True
        failpoint("leave.asked")
        for slot in self._running:
            try:
                self.pool.send(slot, Leave())
            except BrokenPipeError:
                log.debug("slot %d died before it was asked to leave", slot)
        if self._running:
            self.watcher.stage("stopping at the end of the epoch; what is trained is kept (again: stop at once)")
        until = time.monotonic() + FAREWELL
        while self._running and time.monotonic() < until:
            for item in self.pool.wait(0.25):
                try:
                    self._take(item)
                except ServiceError as error:  # results are safe on the disk
                    log.warning("%s", error)
            self.watcher.tick()

    # Handing out -------------------------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        for slot in sorted(self._idle):
            left = self._sure(self.study.remaining, self.limits.budget)
            cohort = self._next_cohort(slot, left) if left > 0 else Cohort(())
            if not cohort.trials:
                return
            failpoint("trial.claimed")
            self._idle.discard(slot)
            self._running[slot] = {trial.number: trial for trial in cohort.trials}
            self._cohort_size[slot] = len(cohort.trials)
            for trial in cohort.trials:
                for listener in self.listeners:
                    listener.trial_started(trial)
                self.watcher.trial_started(trial)
            self._patience.heard(slot)
            try:
                self.pool.send(slot, Job(cohort))
            except BrokenPipeError:  # its Death comes with the next wait and ends the trials
                log.debug("slot %d died before it was given trial %d", slot, cohort.trials[0].number)
            failpoint("trial.sent")

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
        failpoint("lease.renewing")
        for number in self._sure(self.study.reap):
            log.warning("trial %d was lost: its supervisor is gone", number)
            self._sure(tell_lost, self.study, (number,), self.listeners)

    def _lose_patience(self) -> None:
        """Kill children that say nothing any more, or train one trial's epoch for longer than a trial may take."""
        for slot in self._patience.stalled():
            self._kill(slot, "stalled", f"silent for {self._patience.silence(slot):.0f} s")
        limit = self.limits.trial_timeout
        for slot, trials in self._running.items():
            if limit is not None and len(trials) == 1 and self._patience.silence(slot) > limit:
                self._kill(slot, "time", f"an epoch took longer than a trial may ({limit:g} s)")

    def _kill(self, slot: int, cause: Cause, reason: str) -> None:
        if slot not in self._killed:
            log.warning("child %d is %s; it is ended, its log says where it was", slot, reason)
            self._killed[slot] = cause
            self._patience.rests(slot)
            self.pool.kill(slot, reason)

    # Listening ---------------------------------------------------------------------------------------------------

    def _take(self, item: Message | Death) -> None:
        if item.slot in self._quarantined:
            return
        if isinstance(item, Death):
            self._bury(item)
            return
        self._patience.heard(item.slot)
        match item.content:
            case Ready():
                self.ready.append(item.content)
                self._rests(item.slot)
                self._look_for_gpu(item.slot, item.content)
            case Idle() if item.slot in self._unfit:
                cause, fault = self._unfit[item.slot]
                self._bury(fault, cause)
            case Idle():
                self._rests(item.slot)
                size = item.content.memory
                if size is not None and not self._is_leaving and self._patience.has_grown(item.slot, size):
                    log.info("child %d has grown to %d MiB; another one takes its place", item.slot, size >> 20)
                    self._replace(item.slot)
            case Epochs():
                self._judge(item.slot, item.content.epochs)
            case TrialResult():
                if not self._is_left_open(item.slot, item.content):
                    trial = self._running.get(item.slot, {}).pop(item.content.trial)
                    self._finish(item.content, trial)
            case Left():
                self._left |= self._running.pop(item.slot, {})
            case other:
                raise AssertionError(f"a child said {other!r}")

    def _rests(self, slot: int) -> None:
        self._running.pop(slot, None)
        self._idle.add(slot)
        self._patience.rests(slot)

    def _replace(self, slot: int) -> None:
        """Start another child in `slot`."""
        self._idle.discard(slot)
        self._shapes.get(slot, deque()).clear()
        self._killed.pop(slot, None)
        self._unfit.pop(slot, None)
        self._patience.is_new(slot)
        self.pool.restart(slot)

    def _judge(self, slot: int, epochs: tuple[Epoch, ...]) -> None:
        metric = self.objective.metric
        points = [(e.trial, e.epoch, e.metrics.get(metric, float("nan"))) for e in epochs]
        for number, epoch_number, value in points:
            self._curves.setdefault(number, {})[epoch_number] = value
        stop = self._sure(self.study.judge, points) | self._out_of_time(epochs)
        failpoint("trial.judged")
        if self.prunes:
            try:
                self.pool.send(slot, Verdict(stop))
            except BrokenPipeError:
                log.debug("slot %d died before its verdict", slot)
        self._patience.heard(slot)
        for epoch in epochs:
            self._patience.epoch(epoch.seconds)
            attempt = self._running[slot][epoch.trial].attempt
            for listener in self.listeners:
                listener.epoch(epoch, attempt=attempt)
            self.watcher.epoch(epoch)

    def _out_of_time(self, epochs: tuple[Epoch, ...]) -> frozenset[int]:
        """Which of these trials have trained for as long as a trial may, with epochs left."""
        limit = self.limits.trial_timeout
        if limit is None:
            return frozenset()
        for epoch in epochs:
            self._seconds[epoch.trial] = (self._seconds.get(epoch.trial, 0.0) if epoch.epoch > 1 else 0) + epoch.seconds
        late = {e.trial for e in epochs if self._seconds[e.trial] > limit and e.epoch != self.limits.epochs}
        self._overdue |= late
        return frozenset(late)

    def _finish(self, result: TrialResult, trial: Trial) -> None:
        if result.trial in self._overdue and result.state == "pruned":
            took = self._seconds.pop(result.trial, result.seconds)
            reason = f"out of time at epoch {result.epochs}: trained {took:.0f} s of {self.limits.trial_timeout:g}"
            result = replace(result, reason=reason, cause="time")
        self._seconds.pop(result.trial, None)
        failpoint("result.came")
        if any(trial.number in held and held[trial.number].attempt > trial.attempt for held in self._running.values()):
            self._came_late(trial)  # lost while this supervisor was silent, and begun anew here
            return
        self.spool.put(result, self._curves.pop(result.trial, {}), trial)
        failpoint("result.spooled")
        is_stored = self._sure(self.study.tell, result)
        failpoint("result.told")
        if not is_stored:
            self._came_late(trial)
            return
        record = self._sure(self.study.record, result.trial)
        for listener in self.listeners:
            listener.trial_finished(record)
        self.watcher.trial_finished(record)
        self._weights.take(record)
        self.pause_reason = self.pause_reason or self._failures.ended(result)

    def _came_late(self, trial: Trial) -> None:
        log.warning("trial %d was taken for lost; its result came too late and is not counted", trial.number)
        for listener in self.listeners:
            listener.trial_lost(trial.number, trial.attempt)

    def _is_left_open(self, slot: int, result: TrialResult) -> bool:
        """Whether a trial failed by its place and not by itself, so that it is trained again elsewhere.

        Its child goes when it has said all: a GPU that is lost serves nobody, after a fault in a kernel no process can
        use it any more, and what is left of memory after a lack of it cannot be known.
        """
        if result.cause == "missing":  # any other trial would miss it too
            trial = self._running[slot].pop(result.trial)
            self._sure(self.study.give_back, (trial.number,))
            self._lost((trial,))
            self.pause_reason = self.pause_reason or result.reason
            return True
        if result.cause not in ("device", "lost", "memory"):
            return False
        self._unfit[slot] = (result.cause, Death(slot, result.reason or result.cause, result.detail or ""))
        return result.cause != "memory" or self._cohort_size.get(slot, 1) > 1 or slot in self.sharing

    def _bury(self, death: Death, cause: Cause | None = None) -> None:
        """What becomes of a child that is dead, or (with a `cause`) fit for nothing, and of what it trained."""
        is_alive = cause is not None
        lost = self._running.pop(death.slot, {})
        cause = cause or self._killed.get(death.slot) or cause_of(death)
        self._idle.discard(death.slot)
        self._patience.rests(death.slot)
        if self._is_leaving:
            self._left |= lost
            return
        if cause == "device":
            self._sure(self.study.give_back, tuple(lost))
            self._lost(lost.values())
            self._quarantine(death.slot, death.reason, is_alive=is_alive)
            return
        if death.is_node_loss or self._cohort_size.get(death.slot, 1) > 1:
            self._sure(self.study.retry_alone, tuple(lost))  # nobody's fault, or whose it was shows so
            self._lost(lost.values())
            for number in lost:
                log.warning("trial %d lost its process (%s); it waits for another attempt", number, death.reason)
        else:
            for trial in lost.values():
                self._bury_trial(trial, cause, death)
        if cause == "lost" and not death.is_node_loss:
            self.pause_reason = self.pause_reason or self._failures.died(death, lost)
        if self.pause_reason:
            return
        log.warning(
            "child %d %s (%s); starting another", death.slot, "cannot go on" if is_alive else "died", death.reason
        )
        self._replace(death.slot)

    def _look_for_gpu(self, slot: int, child: Ready) -> None:
        """A child that was given a GPU and sees none would train on the processor, and take hours for minutes."""
        if slot not in self.gpus or child.backend == "torch" or not all(n.startswith("cpu") for n in child.devices):
            return  # Keras cannot say which devices torch has
        words = (
            f"GPU {self.gpus[slot]} is there, but {child.backend} sees {', '.join(child.devices)} only: its build, the "
            "driver or the CUDA libraries do not fit together (searchlab doctor; pip install 'searchlab[gpu]')"
        )
        if self.needs_gpus or any(not all(n.startswith("cpu") for n in other.devices) for other in self.ready):
            self._quarantine(slot, words, is_alive=True)
        elif len(self.ready) == 1:
            log.warning("%s. Training goes on without; execution: {gpus: 0} asks for that", words)

    def _quarantine(self, slot: int, reason: str, *, is_alive: bool) -> None:
        """Have nothing trained in `slot` any more.

        Raises:
            DeviceMissing: It was the last one.
        """
        log.warning("child %d gets no more trials: %s", slot, reason)
        self._quarantined.add(slot)
        self._idle.discard(slot)
        self._patience.rests(slot)
        if is_alive:
            self.pool.kill(slot, reason)
        if len(self._quarantined) == self.workers:
            raise DeviceMissing(
                f"no GPU is left to train on: {reason}. Finished trials are stored, those under way wait for another "
                "attempt: go on with  searchlab resume  when it is mended, or without GPUs: execution: {gpus: 0}"
            )

    def _bury_trial(self, trial: Trial, cause: Cause, death: Death) -> None:
        """What becomes of a trial whose process died over it alone."""
        attempts = ON_SHARED_GPU if cause == "memory" and death.slot in self.sharing else ATTEMPTS.get(cause)
        if attempts is not None and self._sure(self.study.retry, trial.number, attempts):
            failpoint("trial.retried")
            self._lost((trial,))
            log.warning("trial %d lost its process (%s); it waits for another attempt", trial.number, death.reason)
            return
        reason = "out of memory" if cause == "memory" else f"the training process died: {death.reason}"
        result = TrialResult(trial.number, "failed", None, reason=reason, cause=cause, detail=death.log_tail)
        self._finish(result, trial)

    def _lost(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            for listener in self.listeners:
                listener.trial_lost(trial.number, trial.attempt)

    def _sure(self, ask: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What the storage answers, however long it is out of reach; children go on meanwhile.

        Raises:
            ServiceError: It does not answer, and someone has asked to stop.
            StorageLost: It is gone or damaged.
        """
        begun = time.monotonic()
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            try:
                answer = ask(*arguments, **named)
                self._patience.excuse(time.monotonic() - begun)
                return answer
            except ServiceError as error:
                if self._stop or self._is_leaving or isinstance(error, StorageLost):
                    raise
                log.warning("%s; trying again in %g s", error, pause)
                until = time.monotonic() + pause
                while time.monotonic() < until and not self._stop:
                    time.sleep(0.1)
        raise AssertionError("the pauses have no end")

    def _request_stop(self) -> None:
        self._stop = True

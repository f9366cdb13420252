"""The account of one trial: its epochs, its best weights, the result that it ends with; the same in every engine."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from searchlab.data import Array
from searchlab.records import Epoch, State, TrainingPlan, Trial, TrialResult
from searchlab.redact import redacted
from searchlab.training import Progress, checkpoints, faults, runtime, weights
from searchlab.training.checkpoints import Checkpoint, Keeper
from searchlab.training.course import Course

log = logging.getLogger(__name__)


class Account:
    """Kept by an engine from the beginning of a trial to its end."""

    def __init__(self, trial: Trial, plan: TrainingPlan, *, engine: str) -> None:
        self.course = Course(plan)
        self.is_pruned = False
        self._trial = trial
        self._plan = plan
        self._engine = engine
        self._begun = time.monotonic()
        self._before = 0.0
        self._facts: dict[str, Any] = {}
        self._best: Callable[[], Sequence[Array]] | None = None
        self._epochs: list[tuple[Mapping[str, float], float]] = []
        self._kept = 0
        self._keeper = _keeper(trial, plan, engine)

    def resume(self) -> Mapping[str, Array] | None:
        """Go back to where an earlier attempt of this trial was; what its engine held then.

        None when there was none, or nothing of it is left.  `replay` has to follow.
        """
        saved = None if self._keeper is None else self._keeper.read()
        if saved is None:
            return None
        for metrics, _ in saved.epochs:
            self.course.take(metrics)
        self._epochs = list(saved.epochs)
        self._kept = len(self._epochs)
        self._facts["resumed_from"] = self._kept
        self._before = sum(seconds for _, seconds in saved.epochs)
        if saved.best is not None:
            best = saved.best
            self._best = lambda: best
        return saved.arrays

    @property
    def past(self) -> tuple[Epoch, ...]:
        """The epochs so far."""
        return tuple(
            Epoch(self._trial.number, epoch, metrics, seconds)
            for epoch, (metrics, seconds) in enumerate(self._epochs, start=1)
        )

    def replay(self) -> Progress:
        """Report again what an earlier attempt reported, so that this one's curve is whole."""
        for epoch in self.past:
            stop = yield (epoch,)
            self.is_pruned = self.is_pruned or epoch.trial in stop

    def describe(self, *, parameter_count: int, summary: str) -> None:
        """What is known once there is a model."""
        self._facts |= {"parameter_count": parameter_count, "summary": summary}

    def take(
        self, metrics: Mapping[str, float], seconds: float, weights_now: Callable[[], Callable[[], Sequence[Array]]]
    ) -> Epoch | None:
        """Note one more epoch; what is reported of it, or None for one that diverged.

        `weights_now` is called when this epoch is the best so far and weights are kept; what it gives is asked for the
        arrays once the trial has ended, so an engine may hold them on its device until then.
        """
        if self.course.take(metrics) and self._plan.weights_folder is not None:
            self._best = weights_now()
        if self.course.diverged:
            return None
        self._epochs.append((dict(metrics), seconds))
        return Epoch(self._trial.number, self.course.epochs, metrics, seconds)

    def report(self, epoch: Epoch, state: checkpoints.State) -> Progress:
        """Report `epoch` and hear the verdict; then, or when nobody listens any more, keep a checkpoint of `state`."""
        try:
            stop = yield (epoch,)
        except GeneratorExit:
            self.keep(state, leaving=True)
            raise
        self.is_pruned = self._trial.number in stop
        self.keep(state)

    def keep(self, state: checkpoints.State, *, leaving: bool = False) -> None:
        """Write a checkpoint of a trial that goes on: one that is due, or the last one before `leaving`.

        One that is left after its last epoch, before its result, keeps one too.
        """
        if self._keeper is None or (self.is_over and not leaving) or len(self._epochs) == self._kept:
            return
        if leaving or self._keeper.is_due:
            best = None if self._best is None else tuple(self._best())
            if self._keeper.write(Checkpoint(tuple(self._epochs), state(), best)):
                self._kept = len(self._epochs)

    @property
    def is_over(self) -> bool:
        """Whether no further epoch shall be trained."""
        course = self.course
        return self.is_pruned or course.should_stop or course.epochs >= self._plan.epochs

    def infeasible(self, fault: str) -> TrialResult:
        """There is no such model."""
        return self._result("failed", f"infeasible: {fault}", cause="infeasible")

    def failed(self, error: BaseException) -> TrialResult:
        """`error` ended it."""
        detail = redacted("".join(traceback.format_exception(error)))
        return self._result("failed", redacted(faults.reason(error)), cause=faults.cause(error), detail=detail)

    def ended(self) -> TrialResult:
        """It came to the end of its course; keeps the best weights of a complete trial."""
        if self.course.diverged:
            return self._result("failed", f"diverged at epoch {self.course.epochs}", cause="diverged")
        if self.is_pruned:
            return self._result("pruned", f"pruned at epoch {self.course.epochs}")
        folder = self._plan.weights_folder
        if self._best is None or folder is None:
            return self._result("complete")
        try:
            path = weights.save(Path(folder) / weights.name_of(self._trial.number), self._best())
        except OSError as error:  # a full disk: the trial has its value all the same
            log.warning("the weights of trial %d could not be kept: %s", self._trial.number, error)
            return self._result("complete")
        return self._result("complete", weights=str(path))

    def _result(self, state: State, reason: str | None = None, **more: Any) -> TrialResult:
        return TrialResult(
            self._trial.number,
            state,
            self.course.value,
            best_epoch=self.course.best_epoch,
            epochs=self.course.epochs,
            seconds=self._before + time.monotonic() - self._begun,
            metrics=self.course.best_metrics,
            reason=reason,
            engine=self._engine,
            **self._facts,
            **more,
        )


def _keeper(trial: Trial, plan: TrainingPlan, engine: str) -> Keeper | None:
    if plan.checkpoints is None:
        return None
    libraries = {name: held for name, held in runtime.versions().items() if name != "python"}
    belongs = {"configuration": trial.params.digest(), "seed": str(trial.seed), "epochs": str(plan.epochs)}
    return Keeper(plan.checkpoints, trial.number, {**belongs, "engine": engine, **libraries})

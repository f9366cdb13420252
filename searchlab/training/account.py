"""The account of one trial: its epochs, its best weights, the result that it ends with; the same in every engine."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from searchlab.data import Array
from searchlab.records import Epoch, State, TrainingPlan, Trial, TrialResult
from searchlab.training import faults, weights
from searchlab.training.course import Course


class Account:
    """Kept by an engine from the beginning of a trial to its end."""

    def __init__(self, trial: Trial, plan: TrainingPlan, *, engine: str) -> None:
        self.course = Course(plan)
        self.is_pruned = False
        self._trial = trial
        self._plan = plan
        self._engine = engine
        self._begun = time.monotonic()
        self._facts: dict[str, Any] = {}
        self._best: Callable[[], Sequence[Array]] | None = None

    def describe(self, *, parameter_count: int, summary: str) -> None:
        """What is known once there is a model."""
        self._facts = {"parameter_count": parameter_count, "summary": summary}

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
        return Epoch(self._trial.number, self.course.epochs, metrics, seconds)

    @property
    def is_over(self) -> bool:
        """Whether no further epoch shall be trained."""
        course = self.course
        return self.is_pruned or course.should_stop or course.epochs >= self._plan.epochs

    def infeasible(self, fault: str) -> TrialResult:
        """There is no such model."""
        return self._result("failed", f"infeasible: {fault}")

    def failed(self, error: BaseException) -> TrialResult:
        """`error` ended it."""
        return self._result("failed", faults.reason(error), detail="".join(traceback.format_exception(error)))

    def ended(self) -> TrialResult:
        """It came to the end of its course; keeps the best weights of a complete trial."""
        if self.course.diverged:
            return self._result("failed", f"diverged at epoch {self.course.epochs}")
        if self.is_pruned:
            return self._result("pruned", f"pruned at epoch {self.course.epochs}")
        folder = self._plan.weights_folder
        if self._best is None or folder is None:
            return self._result("complete")
        path = weights.save(Path(folder) / weights.name_of(self._trial.number), self._best())
        return self._result("complete", weights=str(path))

    def _result(self, state: State, reason: str | None = None, **more: Any) -> TrialResult:
        return TrialResult(
            self._trial.number,
            state,
            self.course.value,
            best_epoch=self.course.best_epoch,
            epochs=self.course.epochs,
            seconds=time.monotonic() - self._begun,
            metrics=self.course.best_metrics,
            reason=reason,
            engine=self._engine,
            **self._facts,
            **more,
        )

"""The course of one trial, epoch by epoch: which was best, when to stop early, when it has diverged.  No Keras here.

A training may have stages, each up to some epoch.  One that makes no more progress gives way to the next before that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from searchlab.records import TrainingPlan

LOSSES = ("loss", "total_loss", "val_loss")
"""What must stay finite, beside the objective."""


class Course:
    """What has happened to a trial so far."""

    def __init__(self, plan: TrainingPlan) -> None:
        self._objective = plan.objective
        self._stopping = plan.early_stopping
        self.epochs = 0
        self.best_epoch: int | None = None
        self.best_metrics: Mapping[str, float] = {}
        self.value: float | None = None
        self.diverged = False
        self.history: list[float] = []
        """The objective of each epoch as a loss: lower is better."""
        self._reference: float | None = None
        self._reference_epoch = 0
        self._ends: Sequence[int] = (plan.epochs,)
        self.stage = 0
        """Which stage the next epoch belongs to."""
        self.last_stage = 0
        """Which one the last epoch belonged to."""

    def in_stages(self, ends: Sequence[int]) -> None:
        """Before the first epoch: the last epoch of each stage."""
        self._ends = ends

    def take(self, metrics: Mapping[str, float]) -> bool:
        """Note one more epoch; whether it is the best so far.

        Raises:
            KeyError: The objective is not among `metrics`.
        """
        objective = self._objective
        value = metrics[objective.metric]
        self.epochs += 1
        self.last_stage = self.stage
        if not all(math.isfinite(metrics.get(name, 0.0)) for name in (*LOSSES, objective.metric)):
            self.diverged = True
            return False
        self.history.append(-value if objective.direction == "maximize" else value)
        if self._is_progress(value):
            self._reference, self._reference_epoch = value, self.epochs
        if self.stage < len(self._ends) - 1 and (self.epochs >= self._ends[self.stage] or self._is_flat):
            self.stage += 1
            self._reference_epoch = self.epochs
        if objective.is_better(value, self.value):
            self.value, self.best_epoch, self.best_metrics = value, self.epochs, dict(metrics)
            return True
        return False

    @property
    def should_stop(self) -> bool:
        """Whether more epochs are of no use: diverged, or no progress for as long as the plan has patience."""
        return self.diverged or self._is_flat

    @property
    def _is_flat(self) -> bool:
        """Whether there was no progress for as long as the plan has patience."""
        stopping = self._stopping
        return stopping is not None and self.epochs - self._reference_epoch >= stopping.patience

    def _is_progress(self, value: float) -> bool:
        """Whether `value` beats the last real progress by more than `min_delta`."""
        if self._reference is None or self._stopping is None:
            return True
        margin = self._stopping.min_delta if self._objective.direction == "maximize" else -self._stopping.min_delta
        return self._objective.is_better(value, self._reference + margin)

"""One trial after another through `keras.Model.fit`: the reference that every faster engine must agree with.

Why one long `fit` in a thread of its own, fed by a `PyDataset`: on the digits set (1,200 images, batches of 32, one
CPU thread) the steady epoch of a small MLP takes 138 ms so, 131 to 205 ms with arrays that Keras shuffles, and 221 ms
with one `fit` and one `evaluate` call an epoch; a small CNN 257, 276 and 366 ms.

Why `jit_compile: auto` is left to Keras: on a CPU it means no XLA, which is right there (compiling a small CNN costs
9 s and its epochs are no faster: 350 against 276 ms); on a GPU it means XLA where the layers allow it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import keras

from searchlab.data import Array, SearchSplits
from searchlab.optim.rate import EpochRates
from searchlab.records import Cohort, Epoch, State, TrainingPlan, Trial, TrialResult
from searchlab.tasks import Arrays, Encoding
from searchlab.training import Engine, Progress, faults, weights
from searchlab.training.course import Course
from searchlab.training.handover import handover
from searchlab.training.order import Batches
from searchlab.training.recipe import Recipe, precision, summary_of

VALIDATION_BATCH = 256
"""Examples in each validation batch, at least; metrics do not depend on it."""


class Fit:
    """Trains a cohort's trials one after another."""

    def train(self, cohort: Cohort, plan: TrainingPlan, encoding: Encoding, splits: SearchSplits[Arrays]) -> Progress:
        """See `Engine`."""
        for trial in cohort.trials:

            def work(report: Callable[[Epoch], bool], trial: Trial = trial) -> TrialResult:
                return _train(trial, plan, encoding, splits, report)

            yield from _alone(trial.number, handover(work))


def _alone(number: int, progress: Generator[Epoch | TrialResult, bool, None]) -> Progress:
    """The progress of one trial as that of a cohort."""
    item = next(progress)
    while isinstance(item, Epoch):
        stop = yield (item,)
        item = progress.send(number in stop)
    yield item


def _train(
    trial: Trial,
    plan: TrainingPlan,
    encoding: Encoding,
    splits: SearchSplits[Arrays],
    report: Callable[[Epoch], bool],
) -> TrialResult:
    """Train `trial` to its end, whatever that is."""
    begun = time.monotonic()
    watch: _Watch | None = None
    model: keras.Model | None = None
    facts: dict[str, Any] = {}

    def ended(state: State, reason: str | None = None, **more: Any) -> TrialResult:
        course = watch.course if watch is not None else Course(plan)
        return TrialResult(
            trial.number,
            state,
            course.value,
            best_epoch=course.best_epoch,
            epochs=course.epochs,
            seconds=time.monotonic() - begun,
            metrics=course.best_metrics,
            reason=reason,
            **facts,
            **more,
        )

    try:
        recipe = Recipe.of(trial, plan, encoding)
        fault = recipe.infeasible()
        if fault is not None:
            return ended("failed", f"infeasible: {fault}")
        with precision(plan.precision):
            model = recipe.model()
            facts = {"parameter_count": int(model.count_params()), "summary": summary_of(model)}
            batches = Batches(splits.train, seed=trial.seed, batch_size=recipe.training.batch_size)
            watch = _Watch(trial, recipe, recipe.compile(model, len(splits.train)), batches, report)
            model.fit(
                batches,
                epochs=plan.epochs,
                shuffle=False,
                validation_data=(splits.validation.x, splits.validation.y),
                validation_batch_size=max(VALIDATION_BATCH, recipe.training.batch_size),
                callbacks=[watch],
                verbose=0,
            )
        if watch.course.diverged:
            return ended("failed", f"diverged at epoch {watch.course.epochs}")
        if watch.is_pruned:
            return ended("pruned", f"pruned at epoch {watch.course.epochs}")
        if watch.best_weights is not None and plan.weights_folder is not None:
            path = weights.save(Path(plan.weights_folder) / weights.name_of(trial.number), watch.best_weights)
            return ended("complete", weights=str(path))
        return ended("complete")
    except Exception as error:
        return ended("failed", faults.reason(error), detail=traceback.format_exc())
    finally:
        model = watch = None
        keras.utils.clear_session()


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the rates before each epoch, and passes on what it came to."""

    def __init__(
        self, trial: Trial, recipe: Recipe, rates: EpochRates, batches: Batches, report: Callable[[Epoch], bool]
    ) -> None:
        super().__init__()
        self.course = Course(recipe.plan)
        self.is_pruned = False
        self.best_weights: list[Array] | None = None
        self._trial = trial
        self._recipe = recipe
        self._rates = rates
        self._batches = batches
        self._report = report
        self._begun = 0.0
        self._total_loss = float("nan")
        self._last_rate = float("nan")

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """`epoch` counts from 0 here."""
        self._begun = time.monotonic()
        self._batches.begin(epoch + 1)
        factors = self._recipe.factors(epoch + 1, len(self._batches), self.course.history)
        self._rates.assign(factors)
        self._last_rate = self._rates.base_rate * float(factors[-1])

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """The last moment at which the model's metrics are those of training.

        The first of them is what was minimized, penalties included.  In Keras's own logs it would be called `loss`,
        but the task's metric of that name comes after it and takes the name.
        """
        self._total_loss = float(self.model.metrics[0].result())

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Judge the epoch, and stop where that is called for."""
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        metrics |= {"total_loss": self._total_loss, "learning_rate": self._last_rate}
        is_best = self.course.take(metrics)
        if is_best and self._recipe.plan.weights_folder is not None:
            self.best_weights = self.model.get_weights()
        if not self.course.diverged:
            seconds = time.monotonic() - self._begun
            self.is_pruned = self._report(Epoch(self._trial.number, epoch + 1, metrics, seconds))
        if self.is_pruned or self.course.should_stop:
            self.model.stop_training = True


ENGINE: Engine = Fit()

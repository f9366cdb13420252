"""One trial after another through `keras.Model.fit`: the reference that every faster engine must agree with.

Why one long `fit` in a thread of its own, fed by a `PyDataset`: on the digits set (1,200 images, batches of 32, one
CPU thread) the steady epoch of a small MLP takes 138 ms so, 131 to 205 ms with arrays that Keras shuffles, and 221 ms
with one `fit` and one `evaluate` call an epoch; a small CNN 257, 276 and 366 ms.

Why `jit_compile: auto` is left to Keras: on a CPU it means no XLA, which is right there (compiling a small CNN costs
9 s and its epochs are no faster: 350 against 276 ms); on a GPU it means XLA where the layers allow it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import keras

from searchlab.data import Array, SearchSplits
from searchlab.data.rows import is_in_memory
from searchlab.optim.rate import EpochRates
from searchlab.records import Cohort, Epoch, TrainingPlan, Trial, TrialResult
from searchlab.tasks import Arrays, Encoding
from searchlab.training import Engine, Progress
from searchlab.training.account import Account
from searchlab.training.handover import Abandoned, handover
from searchlab.training.order import InOrder
from searchlab.training.program.feed import validation_batch
from searchlab.training.recipe import Recipe, precision, summary_of
from searchlab.training.stages import Stage, ends, stages


class Fit:
    """Trains a cohort's trials one after another."""

    def train(self, cohort: Cohort, plan: TrainingPlan, encoding: Encoding, splits: SearchSplits[Arrays]) -> Progress:
        """See `Engine`."""
        for trial in cohort.trials:

            def work(report: Callable[[Epoch], bool], trial: Trial = trial) -> TrialResult:
                return _train(trial, plan, encoding, splits, report)

            yield from _alone(trial.number, handover(work))


def instead(
    trial: Trial, plan: TrainingPlan, encoding: Encoding, splits: SearchSplits[Arrays], reason: str
) -> Progress:
    """`trial` trained here in place of another engine, which gives the `reason` that the result will bear."""
    with contextlib.closing(ENGINE.train(Cohort((trial,)), plan, encoding, splits)) as progress:
        item = next(progress)
        while not isinstance(item, TrialResult):
            item = progress.send((yield item))
    yield dataclasses.replace(item, engine=f"fit: {reason}")


def _alone(number: int, progress: Generator[Epoch | TrialResult, bool, None]) -> Progress:
    """The progress of one trial as that of a cohort."""
    with contextlib.closing(progress):
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
    account = Account(trial, plan, engine="fit")
    watch: _Watch | None = None
    model: keras.Model | None = None
    stage: Stage | None = None
    try:
        recipe = Recipe.of(trial, plan, encoding)
        fault = recipe.infeasible()
        if fault is not None:
            return account.infeasible(fault)
        with precision(plan.precision):
            model = recipe.model()
            account.describe(parameter_count=int(model.count_params()), summary=summary_of(model))
            account.course.in_stages(ends(recipe))
            saved = account.resume()
            for epoch in account.past:
                account.is_pruned = account.is_pruned or report(epoch)
            course = account.course
            for number, stage in enumerate(stages(recipe, model, splits)):
                if account.is_over or number < (course.stage if saved is None else course.last_stage):
                    continue
                rates = recipe.compile(stage.model, len(stage.splits.train), stage.slower)
                if saved is not None:
                    _put(saved, stage.model)
                    saved = None
                if number == course.stage:
                    watch = _Watch(account, recipe, stage, rates, report, functools.partial(_held, recipe, model))
                    watch.train()
        return account.ended()
    except Exception as error:
        return account.failed(error)
    finally:
        model = watch = stage = None
        keras.utils.clear_session()


def _judged(validation: Arrays, batch_size: int) -> Any:
    """The validation examples as `keras.Model.fit` takes them."""
    if is_in_memory(validation.x):
        return validation.x, validation.y
    return InOrder(validation.x, validation.y, batch_size=batch_size)


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the rates before each epoch, and passes on what it came to."""

    def __init__(
        self,
        account: Account,
        recipe: Recipe,
        stage: Stage,
        rates: EpochRates,
        report: Callable[[Epoch], bool],
        weights: Callable[[], Callable[[], list[Array]]],
    ) -> None:
        super().__init__()
        self._account = account
        self._recipe = recipe
        self._stage = stage
        self._rates = rates
        self._batches = recipe.batches(stage.splits.train)
        self._report = report
        self._weights = weights
        self._number = account.course.stage
        self._begun = 0.0
        self._total_loss = float("nan")
        self._last_rate = float("nan")

    def train(self) -> None:
        """Train the stage from where the account is to its end."""
        validation = self._stage.splits.validation
        batch = validation_batch(validation.x.shape[1:], self._recipe.training.batch_size)
        self._batches.begin(self._account.course.epochs + 1)
        self._stage.model.fit(
            self._batches,
            epochs=self._stage.until,
            initial_epoch=self._account.course.epochs,
            shuffle=False,
            validation_data=_judged(validation, batch),
            validation_batch_size=batch,
            callbacks=[self],
            verbose=0,
        )

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """`epoch` counts from 0 here."""
        self._begun = time.monotonic()
        self._batches.begin(epoch + 1)
        factors = self._recipe.factors(epoch + 1, len(self._batches), self._account.course.history) * self._stage.rate
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
        report = self._account.take(metrics, time.monotonic() - self._begun, self._weights)
        if report is not None:
            try:
                self._account.is_pruned = self._report(report)
            except Abandoned:
                self._account.keep(self._state, leaving=True)
                raise
            self._account.keep(self._state)
        if self._account.is_over or self._account.course.stage != self._number:
            self.model.stop_training = True

    def _state(self) -> Mapping[str, Array]:
        return {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(self.model)}


def _held(recipe: Recipe, model: keras.Model) -> Callable[[], list[Array]]:
    """The weights of `model` as they are now."""
    held = [keras.ops.convert_to_numpy(variable) for variable in recipe.kept(model)]
    return lambda: held


def _variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """All that training changes, random states included, by names that a model built again has too."""
    for owner, variables in (("model", model.variables), ("optimizer", model.optimizer.variables)):
        yield from ((f"{owner}:{number}", variable) for number, variable in enumerate(variables))


def _put(saved: Mapping[str, Array], model: keras.Model) -> None:
    """Give `model` and its optimizer the values that `_Watch._state` has named."""
    model.optimizer.build(model.trainable_variables)
    for name, variable in _variables(model):
        variable.assign(saved[name])


ENGINE: Engine = Fit()

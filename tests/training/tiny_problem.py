"""A problem that trains in a second: 240 digits to learn from, 90 to judge by.  Not a test file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from searchlab.data import SOURCES, Collection, Examples, SearchSplits
from searchlab.records import Cohort, Epoch, Objective, TrainingPlan, Trial, TrialResult
from searchlab.runner.engines import BACKENDS
from searchlab.space import Params
from searchlab.tasks import TASKS, Arrays, Encoding
from searchlab.training import ENGINES

ACCURACY = Objective("val_accuracy", "maximize")
LOSS = Objective("val_loss", "minimize")

MLP: dict[str, Any] = {
    "model": "mlp",
    "model.mlp.depth": 1,
    "model.mlp.width": 16,
    "model.mlp.dropout": 0.2,
    "model.mlp.l2": 1e-3,
    "optimizer": "adam",
    "optimizer.adam.learning_rate": 0.01,
    "schedule": "cosine",
    "task.label_smoothing": 0.1,
    "training.batch_size": 32,
    "training.clip_norm": 1.0,
}


def runnable(*names: str) -> tuple[str, ...]:
    """Those of these engines that this process's Keras backend can run."""
    import keras

    backend = keras.backend.backend()
    return tuple(name for name in names if backend in BACKENDS.get(name, (backend,)))


def compiled() -> tuple[str, ...]:
    """The compiled engine of this process's backend; with SEARCHLAB_ENGINES=all, all that it can run."""
    found = runnable("fused", "population")
    return found if os.environ.get("SEARCHLAB_ENGINES") == "all" else found[:1]


@cache
def digits() -> tuple[Collection, SearchSplits[Examples]]:
    """The collection, and its first rows in two parts."""
    source = SOURCES.get("digits")
    collection = source.load(source.Options(), Path())
    take = collection.examples.take
    return collection, SearchSplits(take(np.arange(240)), take(np.arange(240, 330)))


@cache
def problem() -> tuple[Encoding, SearchSplits[Arrays]]:
    """The fitted encoding, and both parts encoded."""
    collection, splits = digits()
    encoding = TASKS.get("image_classification").fit(collection, splits.train)
    return encoding, SearchSplits(encoding.encode(splits.train), encoding.encode(splits.validation))


def plan(**changes: Any) -> TrainingPlan:
    """Two epochs of classification, unless told otherwise."""
    settings: dict[str, Any] = {"task": "image_classification", "objective": ACCURACY, "epochs": 2, **changes}
    return TrainingPlan(**settings)


def trial(number: int = 0, seed: int = 7, **changes: Any) -> Trial:
    """The small network; in `changes` a double underscore stands for a dot."""
    values = {**MLP, **{name.replace("__", "."): value for name, value in changes.items()}}
    return Trial(number, Params(values), seed)


def trial_with(values: Mapping[str, Any], number: int = 0, seed: int = 7) -> Trial:
    """A trial with these values and no others."""
    return Trial(number, Params(dict(values)), seed)


def train(
    engine: str,
    *trials: Trial,
    under: TrainingPlan | None = None,
    verdict: Callable[[Epoch], bool] = lambda epoch: False,
    on: tuple[Encoding, SearchSplits[Arrays]] | None = None,
) -> tuple[dict[int, list[Epoch]], dict[int, TrialResult]]:
    """Train one cohort to the end: the epochs and the result of each trial, by its number."""
    epochs: dict[int, list[Epoch]] = {one.number: [] for one in trials}
    results: dict[int, TrialResult] = {}
    progress = ENGINES.get(engine).train(Cohort(trials), under or plan(), *(on or problem()))
    try:
        item = next(progress)
        while True:
            if isinstance(item, TrialResult):
                assert item.trial not in results
                results[item.trial] = item
                item = progress.send(frozenset())  # as a child does
            else:
                for epoch in item:
                    epochs[epoch.trial].append(epoch)
                item = progress.send(frozenset(epoch.trial for epoch in item if verdict(epoch)))
    except StopIteration:
        return epochs, results


def numbers(epochs: list[Epoch]) -> list[Mapping[str, float]]:
    """What must be equal when two trainings are: everything but the time they took."""
    return [epoch.metrics for epoch in epochs]

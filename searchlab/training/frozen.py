"""Trials whose pretrained body stays frozen, as trials of their head on features: any engine trains them, and fast.

transfer(mobilenet_v2, dropout 0.3) on images   ->   head(dropout 0.3) on (n, 1280) features
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from searchlab.data import SearchSplits
from searchlab.models import Staged
from searchlab.records import Cohort, TrainingPlan, Trial, TrialResult
from searchlab.space import Params, Value
from searchlab.tasks import Arrays, Encoding
from searchlab.training import Engine, Progress
from searchlab.training.account import Account
from searchlab.training.features import STORE, OnFeatures, key_of
from searchlab.training.recipe import Recipe

T = TypeVar("T")


def train(
    engine: Engine, cohort: Cohort, plan: TrainingPlan, encoding: Encoding, splits: SearchSplits[Arrays]
) -> Progress:
    """`engine.train`, for families with a pretrained body too: see the head of this file.  Epochs may come empty."""
    try:
        recipe = Recipe.of(cohort.trials[0], plan, encoding)
        features = (yield from _alive(STORE.make(recipe, splits))) if recipe.infeasible() is None else None
    except Exception as error:
        for trial in cohort.trials:
            yield Account(trial, plan, engine="features").failed(error)
        return
    family = recipe.family
    if features is None or recipe.tuning is not None or not isinstance(family, Staged):
        yield from engine.train(cohort, plan, encoding, splits)
        return
    about = OnFeatures(encoding, features.train.x.shape[1], str(key_of(recipe)))
    heads = Cohort(tuple(replace(trial, params=_of_head(trial, family)) for trial in cohort.trials))
    with contextlib.closing(engine.train(heads, plan, about, features)) as progress:
        item = next(progress)
        while True:
            if isinstance(item, TrialResult):
                item = replace(item, summary=_words(recipe, item.summary))
            stop = yield item
            try:
                item = progress.send(stop)
            except StopIteration:
                return


def _alive(making: Generator[None, None, T]) -> Generator[Any, Any, T]:
    """What `making` comes to; for each of its steps an empty list of epochs, as a sign of life."""
    while True:
        try:
            next(making)
        except StopIteration as end:
            made: T = end.value
            return made
        yield ()


def _of_head(trial: Trial, family: Staged) -> Params:
    """The parameters of the head that `trial` trains, as a trial of the head's family."""
    name = trial.params.pick("model").name
    head = family.head(family.Options(**trial.params.pick("model").options))
    fields = type(head.options).model_fields
    values: dict[str, Value] = {}
    for key, held in trial.params.values.items():
        path = key.split(".")
        if path[0] != "model":
            values[key] = held
        elif len(path) == 1:
            values[key] = head.name
        elif path[1] == name and path[2] in fields:
            values[".".join(["model", head.name, *path[2:]])] = held
    return Params(values)


def _words(recipe: Recipe, summary: str | None) -> str | None:
    """The summary of the head, with a line on what it stands."""
    options: Mapping[str, Any] = recipe.family_options.model_dump()
    return None if summary is None else f"on the features of {options['backbone']}, which is frozen:\n{summary}"

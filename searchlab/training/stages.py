"""The stages of one trial's training: one for most families; the head, then the whole, where a body was pretrained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras

from searchlab.data import SearchSplits
from searchlab.models import Staged
from searchlab.tasks import Arrays
from searchlab.training.features import STORE
from searchlab.training.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    """A model to compile and train up to an epoch."""

    model: keras.Model
    splits: SearchSplits[Arrays]
    until: int
    """Its last epoch at the latest, counted over all stages."""
    rate: float = 1.0
    """What the learning rate is multiplied by."""
    slower: Sequence[float] = ()
    """A factor for the rate of each trainable variable; empty where all have the same."""


def ends(recipe: Recipe) -> tuple[int, ...]:
    """The last epoch of each stage."""
    epochs, tuning = recipe.plan.epochs, recipe.tuning
    if tuning is None:
        return (epochs,)
    tuned = max(1, round(tuning.share * epochs))
    return (epochs - tuned, epochs) if tuned < epochs else (epochs,)


def stages(recipe: Recipe, model: keras.Model, splits: SearchSplits[Arrays]) -> Iterator[Stage]:
    """The stages of `model`, freshly made by `recipe`; what is trainable changes as the next one is asked for.

    While the body is frozen, the head alone is trained on what the body makes of the examples, where that is at hand
    (`features.STORE`): it gives the numbers of the whole model.
    """
    family, tuning, (*first, last) = recipe.family, recipe.tuning, ends(recipe)
    if not isinstance(family, Staged):
        yield Stage(recipe.trainable(model, recipe.seed), splits, last)
        return
    for until in first if tuning is not None else (last,):
        features = STORE.get(recipe)
        if features is None:
            yield Stage(recipe.trainable(model, recipe.seed), splits, until)
        else:
            yield Stage(model.get_layer(family.head(recipe.family_options).name), features, until)
    if tuning is not None:
        slower = family.thaw(model, recipe.family_options)
        yield Stage(recipe.trainable(model, recipe.seed), splits, last, rate=tuning.rate, slower=slower)

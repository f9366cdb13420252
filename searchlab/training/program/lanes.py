"""Lanes: trials of one shape side by side in one program, whatever the backend.

An epoch of a small dense network is mostly the cost of starting operations, which lanes share.  Measured on one CPU
core, milliseconds a trial and epoch, 1,200 digits, a perceptron of 9 k weights: JAX 4.2 alone, 2.9 in 4 lanes, 2.6 in 8
or 16; TensorFlow 13.4 alone (`fused`), 6.3 in 4 lanes, 5.0 to 6.0 in 8, 5.5 to 7.0 in 16.  A small CNN takes 20 alone
and 34 in 4 lanes, whose pictures no cache holds; an LSTM 26 alone and in 8 lanes (both JAX).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import keras
import numpy as np

from searchlab.data import Array
from searchlab.tasks import Arrays
from searchlab.training.program import steps
from searchlab.training.program.feed import Feed
from searchlab.training.program.steps import State
from searchlab.training.program.template import Template
from searchlab.training.recipe import Recipe

LANES = 4
"""Trials of a small dense network side by side on a CPU."""

SMALL = 50_000
"""Weights up to which a dense network counts as small."""

_DENSE = (
    keras.layers.Dense,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Embedding,
)


def is_small_and_dense(template: Template) -> bool:
    """Whether lanes make such trials faster on a CPU."""
    layers = [layer for layer in template.model._flatten_layers(include_self=False) if layer.weights]
    return template.parameter_count <= SMALL and all(isinstance(layer, _DENSE) for layer in layers)


def knobs_of(program: Program, recipes: Sequence[Recipe]) -> list[steps.Knobs]:
    """The numbers of these trials; their optimizers are counted among those of `program`, whose order they are in."""
    places = [program.optimizers.index(recipe.optimizer.name) for recipe in recipes]
    assert places == sorted(places)
    found = [steps.knobs(recipe, program.template) for recipe in recipes]
    return [one._replace(optimizer=np.asarray(place, np.int32)) for one, place in zip(found, places, strict=True)]


class Program(Protocol):
    """A shape with a batch size and the rules of some optimizers, compiled once for a number of lanes."""

    template: Template
    optimizers: tuple[str, ...]
    lanes: int

    def __init__(self, template: Template, *, batch: int, optimizers: tuple[str, ...], lanes: int) -> None: ...

    def knobs(self, recipes: Sequence[Recipe]) -> steps.Knobs:
        """The numbers of these trials."""

    def stacked(self, trials: Sequence[Any]) -> Any:
        """Structures of arrays side by side, on the device."""

    def lane(self, arrays: Any, lane: int) -> Any:
        """Copies, on the host, of what a lane holds."""

    def train(self, state: State, knobs: steps.Knobs, data: Feed, rows: Array, rates: Array) -> Any:
        """The states after an epoch over `rows` (lanes, n) at `rates` (lanes, steps), and what `summed_up` takes."""

    def judge(self, state: State, data: Feed) -> Any:
        """What `summed_up` takes of all validation examples."""

    def summed_up(self, total: Any, trained: Any, judged: Any) -> list[dict[str, float]]:
        """All numbers of an epoch, by name, for each lane."""


class Side(Protocol):
    """What a backend has for a population: the modules `on_jax` and `on_tensorflow`."""

    Program: type[Program]

    def drawing(self) -> AbstractContextManager[None]:
        """Inside, first weights are drawn in the way that is fast here."""

    def prepare(self, template: Template) -> None:
        """Bring a new template's model into the form that is fast here."""

    def feed(self, arrays: Arrays) -> Feed:
        """These examples for programs of this backend."""

    def takes(self, recipe: Recipe, template: Template) -> bool:
        """Whether a population is for such a trial; others are better off with `fused`."""

    def lanes_of(self, template: Template, batch: int, count: int) -> int:
        """How many lanes a program for `count` trials has."""

"""The Keras model of a shape, built once, and the first values of its variables for any trial.

Why first values are drawn anew and not by building a model: building takes 20 to 200 ms, drawing a few.  Each seed that
the family derived is known by its path (`seeds.recorded`), so the same path under another trial's seed gives what that
trial's own model would start from; every initializer is held against the built variable before it is believed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from searchlab import seeds
from searchlab.data import Array
from searchlab.models import Staged
from searchlab.models.augment import MIXED
from searchlab.options import is_off, role_of
from searchlab.training.program.dials import FIRST, SECOND, Dials, NotShared, find, telling
from searchlab.training.recipe import Recipe, precision, summary_of

SEED = 1
"""The seed that templates are built with; nothing of it is left in any trial."""


def shape_of(recipe: Recipe) -> Hashable:
    """Equal for trials that can share a template.

    Raises:
        NotShared: Training examples are mixed in the feed, which only `fit` has.
    """
    mixed = [name for name in recipe.augment.on if name in MIXED]
    if mixed:
        raise NotShared(mixed[0])

    def shapes(options: Any) -> tuple[tuple[str, str], ...]:
        kind = type(options)
        fixed = [(name, getattr(options, name)) for name in kind.model_fields if role_of(kind, name) == "shape"]
        counts = [
            (name, len(held))
            for name in kind.model_fields
            if role_of(kind, name) == "value" and isinstance(held := getattr(options, name), Sequence)
        ]
        off = [(name, "off") for name in kind.model_fields if is_off(options, name)]
        return tuple((name, repr(held)) for name, held in [*fixed, *counts, *off])

    plan = recipe.plan
    named = (type(recipe.family).__qualname__, shapes(recipe.family_options), plan.task, shapes(recipe.task_options))
    learned = (recipe.encoding.problem, repr(recipe.encoding.to_json()))
    return (*named, *learned, shapes(recipe.augment), plan.precision)


@dataclass(frozen=True)
class Draw:
    """How one variable's first value follows from a trial's seed."""

    initializer: type[Any]
    settings: dict[str, Any]
    path: seeds.Path
    shape: tuple[int, ...]
    dtype: str

    def value(self, seed: int) -> Array:
        """The first value under `seed`."""
        drawn = self.initializer(**{**self.settings, "seed": seeds.derive(seed, *self.path)})
        return np.asarray(keras.ops.convert_to_numpy(drawn(self.shape, dtype=self.dtype)))


@dataclass(frozen=True)
class Stream:
    """How a random state follows from a trial's seed: as `keras.random.SeedGenerator` begins."""

    path: seeds.Path
    dtype: str

    def value(self, seed: int) -> Array:
        """The first state under `seed`, made without a generator: Keras notes every generator for ever."""
        return np.asarray([seeds.derive(seed, *self.path), 0]).astype(self.dtype)


class Template:
    """One shape: its model, dials, loss and metrics, and how its variables begin."""

    def __init__(self, recipe: Recipe) -> None:
        """The shape of `recipe`'s trial.

        Raises:
            NotShared: Trials of this shape cannot share a program.
        """
        if isinstance(recipe.family, Staged):
            raise NotShared("its body has weights that are given")
        first, second = (telling(recipe.family_options, begin=begin) for begin in (FIRST, SECOND))
        task = telling(recipe.task_options, begin=FIRST)
        problem = recipe.encoding.problem
        with precision(recipe.plan.precision), seeds.recorded() as paths:
            self.kept = recipe.family.build(problem, first.options, SEED)
            self.model = recipe.trainable(self.kept, SEED)
            other = recipe.family.build(problem, second.options, SEED)
        self.loss = recipe.task.loss(task.options, recipe.encoding)
        self.metrics = recipe.task.keras_metrics(recipe.encoding)
        self.dials: Dials = find((self.kept, other), (first, second), self.loss, task)
        self.parameter_count = int(self.model.count_params())
        self.summary = summary_of(self.kept)
        self._paths = paths
        self._trainable = [self._beginning(variable) for variable in self.model.trainable_variables]
        self._others = [self._beginning(variable) for variable in self.model.non_trainable_variables]
        self.shapes = [tuple(variable.shape) for variable in self.model.trainable_variables]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]

    def first(self, seed: int) -> tuple[Array, list[Array]]:
        """All trainable weights as one (weights,) float32 vector, and the other variables, as a trial begins."""
        parts = [_value(beginning, seed) for beginning in self._trainable]
        flat = np.concatenate([part.ravel() for part in parts]) if parts else np.zeros(0, np.float32)
        return flat.astype(np.float32), [_value(beginning, seed) for beginning in self._others]

    def parts(self, flat: Any) -> list[Any]:
        """The trainable variables in a flat vector, a tensor."""
        ends = np.cumsum(self.sizes).tolist()
        return [
            keras.ops.reshape(flat[end - size : end], shape)
            for end, size, shape in zip(ends, self.sizes, self.shapes, strict=True)
        ]

    def weights(self, flat: Array, others: Sequence[Array]) -> list[Array]:
        """What `model.get_weights()` would give."""
        ends = np.cumsum(self.sizes).tolist()
        values: dict[int, Array] = {}
        for variable, end, size in zip(self.model.trainable_variables, ends, self.sizes, strict=True):
            values[id(variable)] = np.asarray(flat[end - size : end]).reshape(variable.shape)
        for variable, value in zip(self.model.non_trainable_variables, others, strict=True):
            values[id(variable)] = np.asarray(value)
        return [values[id(variable)] for variable in self.kept.weights]

    def names(self, train: Sequence[Any], validation: Sequence[Any]) -> dict[str, float]:
        """The results of both parts, by name, from the variables of the metrics."""
        found = {}
        for prefix, states in (("", train), ("val_", validation)):
            for metric, state in zip(self.metrics, states, strict=True):
                found[f"{prefix}{metric.name}"] = float(metric.stateless_result(list(state)))
        return found

    def _beginning(self, variable: Any) -> Draw | Stream | Array:
        """How `variable` begins: by a draw, always with the same value, or (a random state) with a seed."""
        value = np.asarray(keras.ops.convert_to_numpy(variable))
        owner, generator = next(((o, g) for o, g in _generators(self.model) if g.state is variable), (None, None))
        if generator is not None:
            path = self._paths.get(generator._initial_seed)
            if path is not None and np.array_equal((stream := Stream(path, variable.dtype)).value(SEED), value):
                return stream
            if getattr(owner, "dropout", None) == 0.0 == getattr(owner, "recurrent_dropout", None):
                return value  # a recurrent layer's, which draws nothing
            raise NotShared(f"{variable.path} has a seed that does not come from the trial's")
        for initializer in _initializers(self.model, variable):
            path = self._paths.get(getattr(initializer, "seed", -1))
            if path is None:
                continue
            settings = initializer.get_config()
            draw = Draw(type(initializer), settings, path, tuple(variable.shape), variable.dtype)
            with contextlib.suppress(ValueError):  # an initializer of the layer's other variables
                if np.array_equal(draw.value(SEED), value):
                    return draw
        if value.size > 1 and np.unique(value).size > 2:
            raise NotShared(f"it cannot be told how {variable.path} is drawn")
        return value


def _value(beginning: Draw | Stream | Array, seed: int) -> Array:
    return beginning.value(seed) if isinstance(beginning, Draw | Stream) else beginning


def _generators(model: keras.Model) -> Iterator[tuple[Any, Any]]:
    """Every random state, and the layer that has it."""
    for layer in model._flatten_layers():
        yield from ((layer, generator) for generator in layer._seed_generators)


def _initializers(model: keras.Model, variable: Any) -> Iterator[Any]:
    """The initializers of the layer that owns `variable`."""
    for layer in model._flatten_layers():
        if any(own is variable for own in (*layer._trainable_variables, *layer._non_trainable_variables)):
            yield from (held for held in vars(layer).values() if isinstance(held, keras.initializers.Initializer))

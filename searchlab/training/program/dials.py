"""The numbers of a model that trials of one shape differ in, found in the built model and turned from outside.

Why found and not declared: a family stays a plain function from options to a Keras model.  It is built twice with
telling values in all its *value* options; whatever differs between the two models' configurations is what these options
reach.  A dropout rate, an L2 weight of a variable and an attribute of the loss can be turned; if an option reaches
anything else, or nothing, the shape cannot be shared, and says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from searchlab.options import Options, is_off, role_of

Path = tuple[str | int, ...]
Option = tuple[str, int | None]
"""An option, and which of its values when it has one a layer."""

FIRST, SECOND = 0.0625, 0.125
"""Where the telling values of the two builds begin: powers of two, which rounding to float32 leaves as they are."""

STEP = 2.0**-12
"""What one option's telling value differs from the next one's by."""


TURNED = (("Dropout", "rate"), ("L2", "l2"))
"""The settings that can be turned, by the class that has them."""


class NotShared(Exception):
    """Trials of this shape cannot share a program; the message says why."""


@dataclass(frozen=True)
class Telling:
    """Options whose value fields hold numbers that can be recognized."""

    options: Any
    values: Mapping[float, Option]


def telling(options: Any, *, begin: float) -> Telling:
    """`options` (an instance) with telling values from `begin` on; those that are off stay so.

    Raises:
        NotShared: An option does not take such numbers.
    """
    kind: type[Options] = type(options)
    values: dict[float, Option] = {}
    changes: dict[str, Any] = {}
    numbers = (begin + STEP * i for i in itertools.count())
    for name in kind.model_fields:
        if role_of(kind, name) != "value" or is_off(options, name):
            continue
        held = getattr(options, name)
        if isinstance(held, Sequence) and not isinstance(held, str):
            changes[name] = [next(numbers) for _ in held]
            values.update({value: (name, i) for i, value in enumerate(changes[name])})
        else:
            changes[name] = next(numbers)
            values[changes[name]] = (name, None)
    try:
        return Telling(kind(**{**options.model_dump(), **changes}), values)
    except ValueError as error:
        raise NotShared(f"an option of {kind.__name__} does not take every number: {error}") from error


@dataclass(frozen=True)
class Dials:
    """What can be turned in a model and its loss; `order` names the option behind each number."""

    order: tuple[tuple[str, Option], ...]
    """("model" or "task", option) of each dial."""
    dropouts: tuple[tuple[Any, int], ...]
    """Dropout layers and their dial."""
    penalties: tuple[tuple[int, int], ...]
    """Index of a trainable variable, and the dial that weighs its sum of squares."""
    attributes: tuple[tuple[Any, str, int], ...]
    """An object, the name of an attribute, and its dial."""

    def numbers(self, groups: Mapping[str, Any]) -> list[float]:
        """The values of the dials in a trial whose options are `groups` ("model" and "task")."""
        found = []
        for group, (name, index) in self.order:
            held = getattr(groups[group], name)
            found.append(float(held if index is None else held[index]))
        return found

    @contextmanager
    def turned(self, values: Any) -> Iterator[None]:
        """Inside, the model computes with `values` (dials,), a tensor; meant for tracing."""
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in self.attributes]
        try:
            for layer, dial in self.dropouts:
                layer.call = _dropout(layer, values[dial])
            for owner, name, dial in self.attributes:
                setattr(owner, name, values[dial])
            yield
        finally:
            for layer, _ in self.dropouts:
                del layer.call
            for owner, name, old in before:
                setattr(owner, name, old)

    def penalty(self, trainable: Sequence[Any], values: Any) -> Any:
        """The weighted sums of squares of the variables that have one; None when none has."""
        terms = [values[dial] * ops.sum(ops.square(trainable[variable])) for variable, dial in self.penalties]
        return sum(terms[1:], terms[0]) if terms else None


def find(
    models: tuple[keras.Model, keras.Model], tellings: tuple[Telling, Telling], loss: Any, loss_telling: Telling
) -> Dials:
    """The dials of two models built from two tellings (the first is the one to be turned), and of a loss.

    Takes the L2 regularizers that became dials off the first model's variables.

    Raises:
        NotShared: An option reaches something that cannot be turned, or nothing at all.
    """
    model = models[0]
    order: list[tuple[str, Option]] = []
    reached: set[Option] = set()

    def dial(value: float) -> int | None:
        option = _known(tellings[0].values, value)
        if option is None:
            return None
        reached.add(option)
        order.append(("model", option))
        return len(order) - 1

    dropouts, penalties = [], []
    for layer in model._flatten_layers(include_self=False):
        if type(layer) is keras.layers.Dropout and (number := dial(layer.rate)) is not None:
            dropouts.append((layer, number))
    for index, variable in enumerate(model.trainable_variables):
        regularizer = variable.regularizer
        if type(regularizer) is keras.regularizers.L2 and (number := dial(float(regularizer.l2))) is not None:
            penalties.append((index, number))
            variable.regularizer = None
    elsewhere = [place for place in _differences(*(m.get_config() for m in models)) if place not in TURNED]
    if elsewhere:
        raise NotShared(
            f"an option of {model.name} that counts as a value reaches {'.'.join(elsewhere[0])} of the model"
        )
    missed = set(tellings[0].values.values()) - reached
    if missed:
        raise NotShared(
            f"{', '.join(sorted(name for name, _ in missed))} reaches nothing in {model.name} that can be turned"
        )
    attributes = []
    for value, option in loss_telling.values.items():
        names = [n for n, held in vars(loss).items() if type(held) is float and _known({value: option}, held)]
        if len(names) != 1:
            raise NotShared(f"{option[0]} is no attribute of the loss")
        order.append(("task", option))
        attributes.append((loss, names[0], len(order) - 1))
    return Dials(tuple(order), tuple(dropouts), tuple(penalties), tuple(attributes))


def _known(values: Mapping[float, Option], number: Any) -> Option | None:
    if not isinstance(number, float):
        return None
    return next((option for value, option in values.items() if math.isclose(value, number, rel_tol=1e-6)), None)


def _differences(one: Any, other: Any, owner: str = "", name: str = "") -> Iterator[tuple[str, str]]:
    """(class, setting) of each leaf in which two nested configurations differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        owner = str(one.get("class_name", owner))
        for key in one:
            yield from _differences(one[key], other[key], owner, str(key))
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for a, b in zip(one, other, strict=True):
            yield from _differences(a, b, owner, name)
    elif one != other and not (isinstance(one, str) and isinstance(other, str)):  # Keras counts names up
        yield owner, name


def _dropout(layer: Any, rate: Any) -> Any:
    """`Dropout.call` with a rate that is a tensor: the same masks, from the same draws, as with a number.

    At rate 0 nothing is dropped.  The draw is compared as each backend's own dropout does it.
    """

    def call(inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        chance = ops.cast(rate, inputs.dtype)
        shape = ops.shape(inputs) if layer.noise_shape is None else layer.noise_shape
        draw = keras.random.uniform(shape, dtype=inputs.dtype, seed=layer.seed_generator)
        kept = draw < 1.0 - chance if keras.backend.backend() == "jax" else draw >= chance
        return ops.where(kept, inputs / (1.0 - chance), ops.zeros_like(inputs))

    return call

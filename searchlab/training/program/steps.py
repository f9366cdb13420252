"""Pure functions of a training step: the loss of a batch, the update of all weights, the metrics.

What a trial's numbers are made of travels as one `Knobs`: arrays only, so that a population stacks them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from searchlab.data import Array
from searchlab.optim import OPTIMIZERS, Memory
from searchlab.training.checkpoints import listed, numbered
from searchlab.training.program.template import Template
from searchlab.training.recipe import Recipe

MOST_SETTINGS = 8
"""Numbers that an optimizer may have, the learning rate aside."""


class Knobs(NamedTuple):
    """The numbers of one trial, apart from its rates and its order; arrays or tensors."""

    dials: Any
    """(dials,) float32: what the model and the loss are turned to."""
    optimizer: Any
    """() int32: which rule of `OPTIMIZERS`."""
    settings: Any
    """(MOST_SETTINGS, 2) float32: the rule's options, each with its complement."""
    clip: Any
    """() float32: the longest allowed gradient; infinite where there is no limit."""


class State(NamedTuple):
    """All that a trial's steps change; with several lanes, every array has them in front."""

    flat: Any
    """(weights,) the trainable weights."""
    memory: Memory
    step: Any
    """() steps taken so far, as a float."""
    others: list[Any]
    """Moving statistics and random states."""


def to_arrays(state: State) -> dict[str, Array]:
    """The state of one lane as named arrays on the host."""
    others = numbered("others", [ops.convert_to_numpy(other) for other in state.others])
    memory = numbered("memory", [ops.convert_to_numpy(part) for part in state.memory])
    return {"flat": ops.convert_to_numpy(state.flat), "step": ops.convert_to_numpy(state.step), **memory, **others}


def from_arrays(arrays: Mapping[str, Array]) -> State:
    """The state that `to_arrays` has named."""
    first, second, scalar = listed("memory", arrays)
    return State(arrays["flat"], (first, second, scalar), arrays["step"], listed("others", arrays))


def optimizer_names() -> tuple[str, ...]:
    """The rules in the order of their numbers."""
    return OPTIMIZERS.names()


def knobs(recipe: Recipe, template: Template) -> Knobs:
    """The numbers of `recipe`'s trial."""
    options = OPTIMIZERS.get(recipe.optimizer.name).Options(**recipe.optimizer.options)
    numbers = [float(getattr(options, name)) for name in _setting_names(recipe.optimizer.name)]
    settings = np.zeros((MOST_SETTINGS, 2))
    settings[: len(numbers), 0] = numbers
    settings[: len(numbers), 1] = 1.0 - np.asarray(numbers)
    dials = template.dials.numbers({"model": recipe.family_options, "task": recipe.task_options})
    clip = recipe.training.clip_norm
    return Knobs(
        dials=np.asarray(dials, np.float32),
        optimizer=np.asarray(optimizer_names().index(recipe.optimizer.name), np.int32),
        settings=settings.astype(np.float32),
        clip=np.asarray(np.inf if clip is None else clip, np.float32),
    )


def memory(recipe: Recipe, template: Template) -> tuple[Array, Array, Array]:
    """What the optimizer of `recipe`'s trial remembers before the first step."""
    optimizer = OPTIMIZERS.get(recipe.optimizer.name)
    first, second, scalar = optimizer.memory(optimizer.Options(**recipe.optimizer.options))
    count = sum(template.sizes)
    return np.full(count, first, np.float32), np.full(count, second, np.float32), np.asarray(scalar, np.float32)


def first(recipe: Recipe, template: Template) -> State:
    """The state before the first step of `recipe`'s trial, as arrays on the host."""
    flat, others = template.first(recipe.seed)
    return State(flat, memory(recipe, template), np.float32(0.0), others)


def batch_loss(
    template: Template, trainable: Sequence[Any], others: Sequence[Any], dials: Any, x: Any, y: Any, present: Any = None
) -> tuple[Any, tuple[Any, list[Any]]]:
    """What is minimized on a batch, and the outputs and the other variables after it.

    `trainable` are the `template.parts` of the weights.  `present` (b,) is 1 for the examples and 0 for those that only
    fill the batch up; None stands for all ones.
    """
    with template.dials.turned(dials):
        outputs, others, losses = template.model.stateless_call(trainable, others, x, training=True, return_losses=True)
        loss = template.loss(y, outputs, sample_weight=present)
    if present is not None:
        loss = loss * (ops.size(present) / ops.sum(present))
    penalty = template.dials.penalty(trainable, dials)
    for more in (*losses, *(() if penalty is None else (penalty,))):
        loss = loss + ops.cast(more, loss.dtype)
    return loss, (outputs, list(others))


def outputs_of(template: Template, flat: Any, others: Sequence[Any], x: Any) -> Any:
    """The outputs for `x` outside of training."""
    outputs, _ = template.model.stateless_call(template.parts(flat), list(others), x, training=False)
    return outputs


def clipped(gradient: Any, longest: Any) -> Any:
    """`gradient` (…, weights), shortened to `longest` (…, 1) where it is longer.

    NaN where its length is not finite, as Keras has it.
    """
    length = ops.sqrt(ops.sum(ops.square(gradient), axis=-1, keepdims=True))
    scale = longest * ops.minimum(1.0 / length, 1.0 / longest) + (length - length)
    return gradient * ops.where(ops.isfinite(longest), scale, 1.0)


def rules(names: Sequence[str]) -> list[Any]:
    """The update rules `names`, as functions of (weights, gradient, memory, step, rate, settings)."""

    def rule(name: str) -> Any:
        optimizer = OPTIMIZERS.get(name)
        options = _setting_names(name)

        def update(weights: Any, gradient: Any, memory: Memory, step: Any, rate: Any, settings: Any) -> Any:
            named = {option: (settings[i, 0], settings[i, 1]) for i, option in enumerate(options)}
            return optimizer.update(weights, gradient, memory, step=step, rate=rate, settings=named)

        return update

    return [rule(name) for name in names]


def fresh_metrics(metrics: Sequence[keras.metrics.Metric]) -> list[list[Any]]:
    """The variables of `metrics` before the first example."""
    return [metric.stateless_reset_state() for metric in metrics]


def add_to_metrics(
    metrics: Sequence[keras.metrics.Metric], states: Sequence[Any], y: Any, outputs: Any
) -> list[list[Any]]:
    """The variables of `metrics` with some more examples."""
    return [
        list(metric.stateless_update_state(list(state), y, outputs))
        for metric, state in zip(metrics, states, strict=True)
    ]


def _setting_names(optimizer: str) -> list[str]:
    names = [name for name in OPTIMIZERS.get(optimizer).Options.model_fields if name != "learning_rate"]
    assert len(names) <= MOST_SETTINGS, optimizer
    return names

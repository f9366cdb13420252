"""Trials side by side in one compiled JAX program (`vmap`), or one after another in one of a single lane.

Why the lanes of a CPU depend on the shape alone, and a group that does not fill them is filled up with copies: the
numbers of a trial are then the same whoever is trained beside it, and no shape is compiled for several sizes.

Why the last batch of an epoch is filled up with examples of weight 0: a program with a step of its own for it takes
half as long again to compile (3.4 instead of 2.2 s).  Where examples of a batch see each other (batch normalization)
it has one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax
from keras.src.utils import module_utils

from searchlab.data import Array
from searchlab.tasks import Arrays
from searchlab.training.program import steps
from searchlab.training.program.convolution import quicken
from searchlab.training.program.draws import drawing as drawing
from searchlab.training.program.draws import is_usual_generator
from searchlab.training.program.feed import Feed, validation_batch
from searchlab.training.program.lanes import LANES, is_small_and_dense, knobs_of
from searchlab.training.program.steps import State
from searchlab.training.program.template import Template
from searchlab.training.recipe import Recipe

MOST_LANES = 512
"""On other devices than CPUs, if there are so many trials."""

MEMORY_SHARE = 0.8
"""Share of a device's memory that a program may take."""

if "tensorflow" not in sys.modules:
    # Keras asks whether it is there whenever it writes a configuration down, and so loads it: 2.6 s for nothing here.
    module_utils.tensorflow._available = False


class Program:
    """A shape with a batch size and the rules of some optimizers, compiled once."""

    def __init__(self, template: Template, *, batch: int, optimizers: tuple[str, ...], lanes: int) -> None:
        self.template = template
        self.optimizers = optimizers
        self.lanes = lanes
        self._batch = batch
        self._validation_batch = validation_batch(template.model.input_shape[1:], batch)
        self._rules = steps.rules(optimizers)
        self._metrics = template.metrics
        self._fills_up = _examples_are_apart(template.model)
        of_lanes = (0, 0, 0, 0, 0, 0)
        self._train = self._compiled(self._steps, (*of_lanes, None, None), donated=(0, 4, 5))
        self._train_apart = self._compiled(self._steps, (*of_lanes, 0, 0), donated=(0, 4, 5))
        self._judge = self._compiled(self._validation, (0, 0, None, 0, None, None), donated=(3,))
        self._sum_up = self._compiled(self._results, (0, 0, 0))

    def knobs(self, recipes: Sequence[Recipe]) -> steps.Knobs:
        """The numbers of these trials."""
        knobs: steps.Knobs = self.stacked(knobs_of(self, recipes))
        return knobs

    def stacked(self, trials: Sequence[Any]) -> Any:
        """Structures of arrays side by side, on the device; a single lane has no axis of its own."""
        if self.lanes == 1:
            return jax.tree.map(jnp.asarray, trials[0])
        return jax.tree.map(lambda *lanes: jnp.asarray(np.stack(lanes)), *trials)

    def lane(self, arrays: Any, lane: int) -> Any:
        """Copies, on the host, of what a lane holds."""
        return jax.tree.map(lambda a: np.array(a if self.lanes == 1 else np.asarray(a)[lane]), arrays)

    def train(self, state: State, knobs: steps.Knobs, data: Feed, rows: Array, rates: Array) -> Any:
        """The states after an epoch over `rows` (lanes, n), the mean of what was minimized, the metrics' variables."""
        count, total, metrics = rows.shape[1], self._zeros(), self._fresh()
        size = data.piece(self._batch, self.lanes * self.template.model.output_shape[-1])
        for begin in range(0, count, size):
            x, y, places = data.rows(rows[:, begin : begin + size])
            piece = rates[:, begin // self._batch : -(-min(begin + size, count) // self._batch)]
            if self.lanes == 1:
                piece, places = piece[0], places[0]
                x, y = (x, y) if data.is_resident else (x[0], y[0])
            run = self._train if data.is_resident or self.lanes == 1 else self._train_apart
            state, total, metrics = run(state, knobs, places, piece, total, metrics, x, y)
        return state, total / count, metrics

    def judge(self, state: State, data: Feed) -> Any:
        """The metrics' variables after all validation examples."""
        metrics = self._fresh()
        size = data.piece(self._validation_batch, self.lanes * self.template.model.output_shape[-1])
        for begin in range(0, len(data), size):
            x, y, places = data.rows(np.arange(begin, min(begin + size, len(data)))[None])
            x, y = (x, y) if data.is_resident else (x[0], y[0])
            metrics = self._judge(state.flat, state.others, places[0], metrics, x, y)
        return metrics

    def summed_up(self, total: Any, trained: Any, judged: Any) -> list[dict[str, float]]:
        """All numbers of an epoch, by name, for each lane."""
        found = {name: np.atleast_1d(column) for name, column in self._sum_up(total, trained, judged).items()}
        return [{name: float(column[lane]) for name, column in found.items()} for lane in range(self.lanes)]

    def _compiled(self, function: Any, axes: tuple[int | None, ...], *, donated: tuple[int, ...] = ()) -> Any:
        """`function`, which is written for one trial, for all lanes."""
        return jax.jit(jax.vmap(function, in_axes=axes) if self.lanes > 1 else function, donate_argnums=donated)

    def _zeros(self) -> Any:
        return jnp.zeros(() if self.lanes == 1 else (self.lanes,))

    def _fresh(self) -> Any:
        return self.stacked([jax.tree.map(np.asarray, steps.fresh_metrics(self._metrics))] * self.lanes)

    def _steps(
        self, state: State, knobs: steps.Knobs, rows: Any, rates: Any, total: Any, metrics: Any, x: Any, y: Any
    ) -> Any:
        """Traced: a step for each of `rates` on the next batch of `rows`."""
        batch, count = self._batch, len(rows)
        whole = len(rates) if self._fills_up else count // batch
        missing = whole * batch - count
        padded = jnp.concatenate([rows, jnp.broadcast_to(rows[:1], (missing,))]) if missing > 0 else rows
        batches = padded[: whole * batch].reshape(whole, batch)
        present = (jnp.arange(whole * batch) < count).astype(jnp.float32).reshape(whole, batch)

        def body(carry: tuple[State, Any], step: tuple[Any, Any, Any]) -> Any:
            state, total = carry
            places, rate, here = step
            given = (state.others, knobs.dials, x[places], y[places], here if missing > 0 else None)

            def of_batch(flat: Any) -> Any:
                return steps.batch_loss(self.template, self.template.parts(flat), *given)

            (loss, (outputs, others)), gradient = jax.value_and_grad(of_batch, has_aux=True)(state.flat)
            gradient = steps.clipped(gradient, knobs.clip)
            number = state.step + 1.0
            before = (state.flat, gradient, state.memory, number, rate, knobs.settings)
            flat, memory = lax.switch(knobs.optimizer, self._rules, *before)
            size = jnp.sum(here) if missing > 0 else float(len(places))
            return (State(flat, memory, number, others), total + loss * size), outputs.astype(jnp.float32)

        carry, outputs = (state, total), jnp.zeros((0, self.template.model.output_shape[-1]))
        if whole:
            carry, outputs = lax.scan(body, carry, (batches, rates[:whole], present))
            outputs = outputs.reshape(whole * batch, -1)[:count]
        if whole < len(rates):
            rest = rows[whole * batch :]
            carry, last = body(carry, (rest, rates[whole], jnp.ones(len(rest))))
            outputs = jnp.concatenate([outputs, last])
        return *carry, steps.add_to_metrics(self._metrics, metrics, y[rows], outputs)

    def _validation(self, flat: Any, others: Any, rows: Any, metrics: Any, x: Any, y: Any) -> Any:
        """Traced: the metrics with the examples `rows`, in batches of one size; the last is filled up."""
        count = len(rows)
        turns = -(-count // self._validation_batch)
        batch = -(-count // turns)
        padded = jnp.concatenate([rows, jnp.broadcast_to(rows[:1], (turns * batch - count,))])
        outputs = lax.map(
            lambda places: steps.outputs_of(self.template, flat, others, x[places]).astype(jnp.float32),
            padded.reshape(turns, batch),
        )
        return steps.add_to_metrics(self._metrics, metrics, y[rows], outputs.reshape(turns * batch, -1)[:count])

    def _results(self, total: Any, trained: Any, judged: Any) -> dict[str, Any]:
        """Traced: the numbers behind the metrics' variables."""
        found = {"total_loss": total}
        for prefix, states in (("", trained), ("val_", judged)):
            for metric, state in zip(self._metrics, states, strict=True):
                found[f"{prefix}{metric.name}"] = metric.stateless_result(list(state))
        return found


def prepare(template: Template) -> None:
    """Bring a new template's model into the form that is fast here."""
    quicken(template.model)


def feed(arrays: Arrays) -> Feed:
    """These examples for programs of this backend."""
    return Feed(arrays, jnp.asarray)


def takes(recipe: Recipe, template: Template) -> bool:
    """Whether a population is for such a trial: for all."""
    return True


def lanes_of(template: Template, batch: int, count: int) -> int:
    """How many lanes a program for `count` trials has."""
    if jax.default_backend() == "cpu":
        return LANES if is_small_and_dense(template) else 1
    wanted = min(MOST_LANES, 1 << (count - 1).bit_length())
    memory = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    while memory and wanted > 1 and wanted * _bytes_of_a_lane(template, batch) > MEMORY_SHARE * memory:
        wanted //= 2
    return wanted


def _bytes_of_a_lane(template: Template, batch: int) -> int:
    """About what a trial takes on the device: weights, gradients and memory; outputs of layers, forwards and backwards.

    Patches of 3×3 hold nine times what a convolution is given.
    """
    layers = template.model._flatten_layers(include_self=False)
    outputs = [out.shape[1:] for layer in layers for out in keras.tree.flatten(layer.output)]
    return 24 * template.parameter_count + 4 * 2 * 10 * batch * int(sum(math.prod(shape) for shape in outputs))


def _examples_are_apart(model: keras.Model) -> bool:
    """Whether an example's outputs and dropout are the same whatever else is in its batch.

    Known of Keras's own layers, batch normalization aside, and of JAX's random numbers, of which a longer row begins
    as a shorter one does.
    """
    return is_usual_generator() and all(
        type(layer).__module__.startswith("keras.src.layers.")
        and not isinstance(layer, keras.layers.BatchNormalization)
        and getattr(layer, "activity_regularizer", None) is None
        for layer in model._flatten_layers(include_self=False)
    )

"""Trials of a small dense network side by side in one traced TensorFlow program: stacked weights, batched products.

One step of all lanes is `tf.vectorized_map` over the step of one, so a family's own model is what is computed.  The
updates are not part of it: a rule is a dozen operations on numbers of equal places, so each works on the lanes that
have it, at once.  For that the lanes of a group are in the order of their optimizers.

Why random numbers are drawn lane by lane: TensorFlow draws from one key at a time, and its own way out, a loop, takes
half as long as all the rest of the step (7.8 in place of 5.0 ms a trial and epoch).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.ops.parallel_for import pfor

from searchlab.data import Array
from searchlab.tasks import Arrays
from searchlab.training.program import steps
from searchlab.training.program.feed import Feed, validation_batch
from searchlab.training.program.lanes import LANES, is_small_and_dense, knobs_of
from searchlab.training.program.steps import State
from searchlab.training.program.template import Template
from searchlab.training.recipe import Recipe


class Program:
    """A shape with a batch size and the rules of some optimizers, traced once."""

    def __init__(self, template: Template, *, batch: int, optimizers: tuple[str, ...], lanes: int) -> None:
        self.template = template
        self.optimizers = optimizers
        self.lanes = lanes
        self._batch = batch
        self._validation_batch = validation_batch(template.model.input_shape[1:], batch)
        self._rules = steps.rules(optimizers)
        self._metrics = template.metrics
        self._train = tf.function(self._steps, autograph=False, reduce_retracing=True)
        self._judge = tf.function(self._validation, autograph=False, reduce_retracing=True)

    def knobs(self, recipes: Sequence[Recipe]) -> steps.Knobs:
        """The numbers of these trials."""
        knobs: steps.Knobs = self.stacked(knobs_of(self, recipes))
        return knobs

    def stacked(self, trials: Sequence[Any]) -> Any:
        """Structures of arrays side by side, on the device."""
        return tf.nest.map_structure(lambda *lanes: tf.constant(np.stack(lanes)), *trials)

    def lane(self, arrays: Any, lane: int) -> Any:
        """Copies, on the host, of what a lane holds."""
        return tf.nest.map_structure(lambda held: held[lane].numpy(), arrays)

    def train(self, state: State, knobs: steps.Knobs, data: Feed, rows: Array, rates: Array) -> Any:
        """The states after an epoch over `rows` (lanes, n), the mean of what was minimized, the metrics' variables."""
        count, total, metrics = rows.shape[1], tf.zeros(self.lanes), self._fresh()
        size = data.piece(self._batch, self.lanes * self.template.model.output_shape[-1])
        for begin in range(0, count, size):
            x, y, places = data.rows(rows[:, begin : begin + size])
            piece = rates[:, begin // self._batch : -(-min(begin + size, count) // self._batch)]
            state, total, metrics = self._train(
                state, knobs, x, y, tf.constant(places), tf.constant(piece), total, metrics, apart=not data.is_resident
            )
        return state, total / count, metrics

    def judge(self, state: State, data: Feed) -> Any:
        """The metrics' variables after all validation examples."""
        metrics = self._fresh()
        size = data.piece(self._validation_batch, self.lanes * self.template.model.output_shape[-1])
        for begin in range(0, len(data), size):
            x, y, places = data.rows(np.arange(begin, min(begin + size, len(data))))
            metrics = self._judge(state.flat, state.others, x, y, tf.constant(places), metrics)
        return metrics

    def summed_up(self, total: Any, trained: Any, judged: Any) -> list[dict[str, float]]:
        """All numbers of an epoch, by name, for each lane."""
        return [
            self.template.names(one, other) | {"total_loss": loss}
            for one, other, loss in zip(trained, judged, total.numpy().tolist(), strict=True)
        ]

    def _fresh(self) -> list[list[list[Any]]]:
        return [steps.fresh_metrics(self._metrics) for _ in range(self.lanes)]

    def _steps(
        self,
        state: State,
        knobs: steps.Knobs,
        x: Any,
        y: Any,
        places: Any,
        rates: Any,
        total: Any,
        metrics: Any,
        *,
        apart: bool,
    ) -> Any:
        """Traced: a step for each of `rates` (lanes, steps), on the next examples of `places` (lanes, n).

        If the lanes are `apart`, each has its own examples in `x` and `y`.
        """
        taken = functools.partial(tf.gather, batch_dims=1 if apart else 0)
        batch, count, turns = self._batch, tf.shape(places)[1], tf.shape(rates)[1]
        ends = [tf.reduce_sum(tf.cast(knobs.optimizer < i, tf.int32)) for i in range(len(self._rules) + 1)]
        is_clipped = tf.reduce_any(tf.math.is_finite(knobs.clip))
        collected = self._outputs(turns)

        def body(i: Any, state: State, total: Any, collected: Any) -> Any:
            rows = places[:, i * batch : tf.minimum((i + 1) * batch, count)]
            examples = taken(x, rows), taken(y, rows)
            gradient, loss, outputs, others = tf.vectorized_map(
                self._gradient, (state.flat, state.others, knobs.dials, *examples)
            )
            gradient = tf.cond(is_clipped, lambda: steps.clipped(gradient, knobs.clip[:, None]), lambda: gradient)
            new = self._updated(ends, state, gradient, rates[:, i], knobs.settings)._replace(others=others)
            tf.nest.map_structure(lambda now, before: now.set_shape(before.shape), new, state)
            total += loss * tf.cast(tf.shape(rows)[1], tf.float32)
            return i + 1, new, total, collected.write(i, tf.transpose(outputs, (1, 0, 2)))

        _, state, total, collected = tf.while_loop(
            lambda i, *_: i < turns, body, (tf.constant(0), state, total, collected), parallel_iterations=1
        )
        return state, total, self._judged(metrics, taken(y, places), collected.concat())

    def _gradient(self, of_lane: Any) -> Any:
        """Traced, for one lane: the gradient of its batch, the loss, the outputs and the other variables."""
        flat, others, dials, x, y = of_lane
        trainable = self.template.parts(flat)
        with tf.GradientTape() as tape:
            tape.watch(trainable)
            loss, (outputs, others) = steps.batch_loss(self.template, trainable, others, dials, x, y)
        parts = tape.gradient(loss, trainable, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradient = tf.concat([tf.reshape(tf.convert_to_tensor(part), [-1]) for part in parts], 0)
        return gradient, loss, tf.cast(outputs, tf.float32), others

    def _updated(self, ends: list[Any], state: State, gradient: Any, rates: Any, settings: Any) -> State:
        """Traced: the weights and memories after a step; the rule `i` has the lanes from `ends[i]` to `ends[i + 1]`."""
        step = state.step + 1.0
        found = []
        for i, rule in enumerate(self._rules):
            lanes = slice(ends[i], ends[i + 1])
            first, second, scalar = (part[lanes] for part in state.memory)
            # numbers of a lane as (lanes, 1), beside its weights; settings as (option, 2, lanes, 1)
            own = tf.transpose(settings[lanes], (1, 2, 0))[..., None]
            memory = (first, second, scalar[:, None])
            flat, memory = rule(state.flat[lanes], gradient[lanes], memory, step[lanes, None], rates[lanes, None], own)
            found.append((flat, memory[0], memory[1], memory[2][:, 0]))
        flat, first, second, scalar = (tf.concat(parts, 0) for parts in zip(*found, strict=True))
        return State(flat, (first, second, scalar), step, state.others)

    def _validation(self, flat: Any, others: Any, x: Any, y: Any, places: Any, metrics: Any) -> Any:
        """Traced: the metrics with the examples `x[places]`, the same for all lanes."""
        batch, count = self._validation_batch, tf.shape(places)[0]
        turns = -(-count // batch)

        def body(i: Any, collected: Any) -> Any:
            some = tf.gather(x, places[i * batch : tf.minimum((i + 1) * batch, count)])
            of_lane = functools.partial(self._judged_outputs, some)
            return i + 1, collected.write(i, tf.transpose(tf.vectorized_map(of_lane, (flat, others)), (1, 0, 2)))

        _, collected = tf.while_loop(
            lambda i, _: i < turns, body, (tf.constant(0), self._outputs(turns)), parallel_iterations=1
        )
        return self._judged(metrics, [tf.gather(y, places)] * self.lanes, collected.concat())

    def _judged_outputs(self, x: Any, of_lane: Any) -> Any:
        flat, others = of_lane
        return tf.cast(steps.outputs_of(self.template, flat, others, x), tf.float32)

    def _outputs(self, turns: Any) -> Any:
        """Room for the outputs of so many batches, (examples, lanes, units) each."""
        shape = (None, self.lanes, self.template.model.output_shape[-1])
        return tf.TensorArray(tf.float32, size=turns, element_shape=shape, infer_shape=False)

    def _judged(self, metrics: Any, y: Any, outputs: Any) -> list[Any]:
        """Traced: each lane's metrics with its `y[lane]` and `outputs` (examples, lanes, units)."""
        return [
            steps.add_to_metrics(self._metrics, metrics[lane], y[lane], outputs[:, lane]) for lane in range(self.lanes)
        ]


def drawing() -> AbstractContextManager[None]:
    """Nothing: TensorFlow draws without compiling."""
    return contextlib.nullcontext()


def prepare(template: Template) -> None:
    """Nothing: Keras's own form is fast here."""


def feed(arrays: Arrays) -> Feed:
    """These examples for programs of this backend."""
    return Feed(arrays, tf.constant)


def takes(recipe: Recipe, template: Template) -> bool:
    """Whether lanes make such a trial faster; others are better off alone."""
    return is_small_and_dense(template) and not recipe.augment.on


def lanes_of(template: Template, batch: int, count: int) -> int:
    """How many lanes a program for `count` trials has."""
    return LANES


def _draw_key(op: Any) -> Any:
    keys = [tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed) for seed in _apart(op, 0)]
    return [pfor.wrap(tf.stack(parts), True) for parts in zip(*keys, strict=True)]


def _draw_uniform(op: Any) -> Any:
    common = {"shape": op.unstacked_input(0), "alg": op.unstacked_input(3), "dtype": op.get_attr("dtype")}
    own = zip(_apart(op, 1), _apart(op, 2), strict=True)
    return pfor.wrap(tf.stack([tf.raw_ops.StatelessRandomUniformV2(key=k, counter=c, **common) for k, c in own]), True)


def _apart(op: Any, number: int) -> list[Any]:
    """The lanes of an operation's input."""
    return list(tf.unstack(op.stacked_input(number)))


for _name, _converter in (
    ("StatelessRandomGetKeyCounter", _draw_key),
    ("StatelessRandomUniformV2", _draw_uniform),
):
    with contextlib.suppress(KeyError):  # a TensorFlow that has learned it
        pfor.RegisterPFor(_name)(_converter)

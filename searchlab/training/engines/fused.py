"""One traced program for each shape, a whole epoch in the graph, the data on the device: `fit`'s numbers in less time.

Why: a tenth of a small network's `fit` trial is training; the rest is tracing, setting up and Python between batches.
Here a shape is traced once and serves every trial that differs in values only: dropout, L2, label smoothing, rates,
clipping, the optimizer itself and its options are data.  All weights are one vector, so that an update is a dozen
operations whatever the number of layers.

Trials of a cohort are trained one after another.  What cannot be shared (see `program/dials.py`) goes to `fit`, and the
result says why.
"""

from __future__ import annotations

import functools
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from searchlab.data import Array, SearchSplits
from searchlab.optim import Memory
from searchlab.records import Cohort, TrainingPlan
from searchlab.tasks import Arrays, Encoding
from searchlab.training import Engine, Progress
from searchlab.training.account import Account
from searchlab.training.engines.fit import instead
from searchlab.training.order import order
from searchlab.training.program import steps
from searchlab.training.program.dials import NotShared
from searchlab.training.program.feed import Feed, validation_batch
from searchlab.training.program.steps import State
from searchlab.training.program.template import Template, shape_of
from searchlab.training.recipe import Recipe

PROGRAMS = 24
"""Shapes whose programs are kept, the least recently used goes first; each holds some MB of traced graph."""

log = logging.getLogger(__name__)


class Program:
    """A shape, traced once."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self._metrics = template.metrics
        self._train = tf.function(self._steps, autograph=False, reduce_retracing=True)
        self._judge = tf.function(self._validation, autograph=False, reduce_retracing=True)

    def start(self, recipe: Recipe, saved: Mapping[str, Array] | None) -> State:
        """The state before the first step of `recipe`'s trial, or after its last one in an attempt that was `saved`."""
        state = steps.first(recipe, self.template) if saved is None else steps.from_arrays(saved)
        started: State = tf.nest.map_structure(tf.constant, state)
        return started

    def train(self, state: State, knobs: steps.Knobs, data: Feed, rows: Array, rates: Array, batch: int) -> Any:
        """The state after an epoch over `rows` in batches of `batch`, its total loss and the metrics' variables."""
        metrics = steps.fresh_metrics(self._metrics)
        total = tf.constant(0.0)
        size = data.piece(batch, self.template.model.output_shape[-1])
        for begin in range(0, len(rows), size):
            x, y, order = data.rows(rows[begin : begin + size])
            piece = rates[begin // batch : -(-min(begin + size, len(rows)) // batch)]
            state, total, metrics = self._train(
                state, knobs, x, y, tf.constant(order), tf.constant(piece), tf.constant(batch), total, metrics
            )
        return state, total / float(len(rows)), metrics

    def judge(self, state: State, data: Feed, batch: int) -> list[list[Any]]:
        """The metrics' variables after all validation examples."""
        metrics = steps.fresh_metrics(self._metrics)
        rows = np.arange(len(data), dtype=np.int64)
        size = data.piece(batch, self.template.model.output_shape[-1])
        for begin in range(0, len(rows), size):
            x, y, order = data.rows(rows[begin : begin + size])
            places = tf.constant(order)
            metrics = self._judge(state.flat, state.others, x, y, places, tf.constant(batch), metrics)
        return metrics

    def _steps(
        self,
        state: State,
        knobs: steps.Knobs,
        x: Any,
        y: Any,
        order: Any,
        rates: Any,
        batch: Any,
        total: Any,
        metrics: Any,
    ) -> Any:
        """Traced: one step for each of `rates`, on `batch` of the examples `x[order]` at a time."""
        count, units = tf.shape(order)[0], self.template.model.output_shape[-1]
        collected = tf.TensorArray(tf.float32, size=tf.shape(rates)[0], element_shape=(None, units), infer_shape=False)

        def body(i: Any, state: State, total: Any, collected: Any) -> Any:
            rows = order[i * batch : tf.minimum((i + 1) * batch, count)]
            with tf.GradientTape() as tape:
                tape.watch(state.flat)
                trainable = self.template.parts(state.flat)
                loss, (outputs, others) = steps.batch_loss(
                    self.template, trainable, state.others, knobs.dials, tf.gather(x, rows), tf.gather(y, rows)
                )
            gradient = steps.clipped(tape.gradient(loss, state.flat), knobs.clip)
            step = state.step + 1.0
            flat, memory = _updated(knobs.optimizer, state.flat, gradient, state.memory, step, rates[i], knobs.settings)
            for new, old in zip((flat, *memory), (state.flat, *state.memory), strict=True):
                new.set_shape(old.shape)
            total += loss * tf.cast(tf.size(rows), tf.float32)
            return i + 1, State(flat, memory, step, others), total, collected.write(i, tf.cast(outputs, tf.float32))

        _, state, total, collected = tf.while_loop(
            lambda i, *_: i < tf.shape(rates)[0], body, (tf.constant(0), state, total, collected), parallel_iterations=1
        )
        metrics = steps.add_to_metrics(self._metrics, metrics, tf.gather(y, order), collected.concat())
        return state, total, metrics

    def _validation(self, flat: Any, others: Any, x: Any, y: Any, order: Any, batch: Any, metrics: Any) -> Any:
        """Traced: the metrics with the examples `x[order]`."""
        count, units = tf.shape(order)[0], self.template.model.output_shape[-1]
        turns = -(-count // batch)
        collected = tf.TensorArray(tf.float32, size=turns, element_shape=(None, units), infer_shape=False)

        def body(i: Any, collected: Any) -> Any:
            rows = order[i * batch : tf.minimum((i + 1) * batch, count)]
            outputs = steps.outputs_of(self.template, flat, others, tf.gather(x, rows))
            return i + 1, collected.write(i, tf.cast(outputs, tf.float32))

        _, collected = tf.while_loop(lambda i, _: i < turns, body, (tf.constant(0), collected), parallel_iterations=1)
        return steps.add_to_metrics(self._metrics, metrics, tf.gather(y, order), collected.concat())


class Fused:
    """Trains a cohort's trials one after another, each by its shape's program."""

    def __init__(self) -> None:
        self._programs: OrderedDict[object, Program] = OrderedDict()
        self._data: tuple[SearchSplits[Arrays], Feed, Feed] | None = None

    def train(self, cohort: Cohort, plan: TrainingPlan, encoding: Encoding, splits: SearchSplits[Arrays]) -> Progress:
        """See `Engine`."""
        for trial in cohort.trials:
            account = Account(trial, plan, engine="fused")
            try:
                recipe = Recipe.of(trial, plan, encoding)
                fault = recipe.infeasible()
                program = self._program(recipe) if fault is None else None
            except NotShared as reason:
                log.info("trial %d is left to fit: %s", trial.number, reason)
                yield from instead(trial, plan, encoding, splits, str(reason))
                continue
            except Exception as error:
                yield account.failed(error)
                continue
            if program is None:
                yield account.infeasible(str(fault))
            else:
                yield from self._course(account, recipe, program, splits)

    def _course(self, account: Account, recipe: Recipe, program: Program, splits: SearchSplits[Arrays]) -> Progress:
        """One trial from its first epoch to its result."""
        template = program.template
        account.describe(parameter_count=template.parameter_count, summary=template.summary)
        try:
            train, validation = self._on_device(splits)
            batch = recipe.training.batch_size
            knobs = steps.Knobs(*map(tf.constant, steps.knobs(recipe, template)))
            state = program.start(recipe, account.resume())
            yield from account.replay()
            while not account.is_over:
                begun = time.monotonic()
                epoch = account.course.epochs + 1
                rates = recipe.rates(epoch, recipe.steps(len(train)), account.course.history)
                rows = order(recipe.seed, epoch, len(train))
                state, total, metrics = program.train(state, knobs, train, rows, rates, batch)
                judged = program.judge(state, validation, validation_batch(template.model.input_shape[1:], batch))
                found = template.names(metrics, judged) | {
                    "total_loss": float(total),
                    "learning_rate": float(rates[-1]),
                }
                report = account.take(found, time.monotonic() - begun, functools.partial(_held, template, state))
                if report is not None:
                    yield from account.report(report, functools.partial(steps.to_arrays, state))
            result = account.ended()
        except Exception as error:
            result = account.failed(error)
        yield result

    def _program(self, recipe: Recipe) -> Program:
        """The program of `recipe`'s shape; the least recently used one makes room for a new one."""
        if recipe.plan.precision == "mixed_float16":
            raise NotShared("mixed_float16 needs a scaled loss")
        if recipe.plan.jit_compile is True:
            raise NotShared("jit_compile: true is asked for")
        key = shape_of(recipe)
        if key not in self._programs:
            self._programs[key] = Program(Template(recipe))
            if len(self._programs) > PROGRAMS:
                self._programs.popitem(last=False)
        self._programs.move_to_end(key)
        return self._programs[key]

    def _on_device(self, splits: SearchSplits[Arrays]) -> tuple[Feed, Feed]:
        if self._data is None or self._data[0] is not splits:
            self._data = (splits, Feed(splits.train, tf.constant), Feed(splits.validation, tf.constant))
        return self._data[1:]


_VECTOR, _SCALAR = tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.float32)


@tf.function(  # type: ignore[untyped-decorator]
    autograph=False,
    input_signature=[
        tf.TensorSpec([], tf.int32),
        _VECTOR,
        _VECTOR,
        (_VECTOR, _VECTOR, _SCALAR),
        _SCALAR,
        _SCALAR,
        tf.TensorSpec([steps.MOST_SETTINGS, 2], tf.float32),
    ],
)
def _updated(number: Any, flat: Any, gradient: Any, memory: Memory, step: Any, rate: Any, settings: Any) -> Any:
    """The weights and the memory after a step by rule `number`; traced once, for weights of any number."""
    rules = steps.rules(steps.optimizer_names())
    return tf.switch_case(
        number, [functools.partial(rule, flat, gradient, memory, step, rate, settings) for rule in rules]
    )


def _held(template: Template, state: State) -> Callable[[], list[Array]]:
    """The weights in `state`, which stay on the device until they are asked for."""
    return lambda: template.weights(state.flat.numpy(), [other.numpy() for other in state.others])


ENGINE: Engine = Fused()

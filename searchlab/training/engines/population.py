"""Many trials of one shape in one compiled JAX program: `fit`'s numbers at a fraction of its time.

A shape is compiled once; every number in which trials differ is data (see `program/`), and all trials of a cohort that
are alive take each epoch together.  Inside, trials stand side by side in *lanes* (`vmap`): with small dense networks an
epoch is mostly the cost of starting operations, which lanes share.  Measured on one CPU core, milliseconds a trial and
epoch, 1,200 digits: a perceptron of 9 k weights 4.2 alone, 2.9 in 4 lanes, 2.6 in 8 or 16; a small CNN 20 alone, 34 in
4 lanes, whose pictures no cache holds; an LSTM 26 alone and in 8 lanes.  Other devices take as many lanes as their
memory has room for.

Why the lanes of a CPU depend on the shape alone, and a cohort that does not fill them is filled up with copies: the
numbers of a trial are then the same whoever is trained beside it, and no shape is compiled for several sizes.

Why the last batch of an epoch is filled up with examples of weight 0: a program with a step of its own for it takes
half as long again to compile (3.4 instead of 2.2 s).  Where examples of a batch see each other (batch normalization)
it has one.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import math
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import keras
import numpy as np

from searchlab.data import Array, SearchSplits
from searchlab.data.rows import is_in_memory
from searchlab.errors import MissingExtra, SpecError

if importlib.util.find_spec("jax") is None:
    raise MissingExtra.of("jax", needed_for="the engine 'population'")
if keras.backend.backend() != "jax":
    raise SpecError(f"the engine 'population' runs on jax, and Keras runs on {keras.backend.backend()} here.")

import jax
import jax.numpy as jnp
from jax import lax
from keras.src.utils import module_utils

from searchlab.records import Cohort, Epoch, TrainingPlan, Trial, TrialResult
from searchlab.tasks import Arrays, Encoding
from searchlab.training import Engine, Progress
from searchlab.training.account import Account
from searchlab.training.engines.fit import instead, validation_batch
from searchlab.training.order import order
from searchlab.training.program import steps
from searchlab.training.program.convolution import quicken
from searchlab.training.program.dials import NotShared
from searchlab.training.program.steps import State
from searchlab.training.program.template import Template, shape_of
from searchlab.training.recipe import Recipe

RESIDENT = 2 << 30
"""Bytes of training examples that are kept on the device whole; more are sent in pieces."""

PIECE = 256 << 20
"""Bytes of such a piece, about."""

OUTPUTS = 1 << 22
"""Numbers of output of all lanes that are held between two looks at the metrics, at most."""

LANES = 4
"""Trials of a small dense network side by side on a CPU."""

SMALL = 50_000
"""Weights up to which a dense network counts as small."""

MOST_LANES = 512
"""On other devices, if there are so many trials."""

MEMORY_SHARE = 0.8
"""Share of a device's memory that a program may take."""

PROGRAMS = 24
"""Shapes whose programs are kept; the least recently used goes first."""

if "tensorflow" not in sys.modules:
    # Keras asks whether it is there whenever it writes a configuration down, and so loads it: 2.6 s for nothing here.
    module_utils.tensorflow._available = False

log = logging.getLogger(__name__)

Item = TypeVar("Item")


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

    def start(self, members: Sequence[_Member]) -> State:
        """The states before the first step of these trials, or after the last one of an earlier attempt; one a lane."""
        states = [
            steps.first(member.recipe, self.template) if member.saved is None else steps.from_arrays(member.saved)
            for member in members
        ]
        state: State = self.stacked(states)
        return state

    def knobs(self, recipes: Sequence[Recipe]) -> steps.Knobs:
        """The numbers of these trials; the optimizers are counted among this program's."""
        places = [np.asarray(self.optimizers.index(recipe.optimizer.name), np.int32) for recipe in recipes]
        found = [steps.knobs(recipe, self.template) for recipe in recipes]
        knobs: steps.Knobs = self.stacked([one._replace(optimizer=i) for one, i in zip(found, places, strict=True)])
        return knobs

    def stacked(self, trials: Sequence[Any]) -> Any:
        """Structures of arrays side by side, on the device; a single lane has no axis of its own."""
        if self.lanes == 1:
            return jax.tree.map(jnp.asarray, trials[0])
        return jax.tree.map(lambda *lanes: jnp.asarray(np.stack(lanes)), *trials)

    def lane(self, arrays: Any, lane: int) -> Any:
        """Copies, on the host, of what a lane holds."""
        return jax.tree.map(lambda a: np.array(a if self.lanes == 1 else np.asarray(a)[lane]), arrays)

    def train(self, state: State, knobs: steps.Knobs, data: _Data, rows: Array, rates: Array) -> Any:
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

    def judge(self, state: State, data: _Data) -> Any:
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
            of_batch = functools.partial(
                steps.batch_loss,
                self.template,
                others=state.others,
                dials=knobs.dials,
                x=x[places],
                y=y[places],
                present=here if missing > 0 else None,
            )
            (loss, (outputs, others)), gradient = jax.value_and_grad(of_batch, has_aux=True)(state.flat)
            gradient = steps.clipped(gradient, knobs.clip)
            number = state.step + 1.0
            given = (state.flat, gradient, state.memory, number, rate, knobs.settings)
            flat, memory = lax.switch(knobs.optimizer, self._rules, *given)
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


class _Data:
    """Examples: on the device where they fit, else sent in pieces."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._row = max(1, arrays.x.nbytes // max(1, len(arrays)))
        self.is_resident = is_in_memory(arrays.x) and arrays.x.nbytes <= RESIDENT
        self._whole = (jnp.asarray(arrays.x), jnp.asarray(arrays.y)) if self.is_resident else None

    def __len__(self) -> int:
        return len(self._arrays)

    def piece(self, batch: int, numbers: int) -> int:
        """Examples to take at a time, if each has so many `numbers` of output: whole batches."""
        most = OUTPUTS // numbers if self.is_resident else min(OUTPUTS // numbers, PIECE // self._row)
        return max(1, most // batch) * batch

    def rows(self, rows: Array) -> tuple[Any, Any, Array]:
        """Arrays on the device, and the places of `rows` (lanes, n) in them; each lane has its own if they are sent."""
        if self._whole is not None:
            return *self._whole, rows.astype(np.int32)
        places = np.broadcast_to(np.arange(rows.shape[1], dtype=np.int32), rows.shape)
        return jnp.asarray(self._arrays.x[rows]), jnp.asarray(self._arrays.y[rows]), places


@dataclass
class _Member:
    """A trial of a cohort."""

    trial: Trial
    account: Account
    recipe: Recipe
    saved: Mapping[str, Array] | None
    """What an earlier attempt left."""


@dataclass
class _Group:
    """Trials side by side in one program's lanes; those that have ended leave None behind."""

    members: list[_Member | None]
    state: State
    knobs: steps.Knobs
    last_rates: list[float] = field(default_factory=list)
    epoch: Any = None
    """What the epoch under way will give."""

    def alive(self) -> Iterator[tuple[int, _Member]]:
        """The lanes that still count."""
        return ((lane, member) for lane, member in enumerate(self.members) if member is not None)

    def left(self, stopped: frozenset[int]) -> list[TrialResult]:
        """The results of those that go now, of their own accord or `stopped`."""
        results = []
        for lane, member in list(self.alive()):
            account = member.account
            account.is_pruned = account.is_pruned or member.trial.number in stopped
            if account.is_over:
                self.members[lane] = None
                try:
                    results.append(account.ended())
                except Exception as error:
                    results.append(account.failed(error))
        return results

    def keep(self, program: Program, *, leaving: bool = False) -> None:
        """Have every trial write a checkpoint where it shall."""
        for lane, member in self.alive():
            member.account.keep(functools.partial(_arrays, program, self.state, lane), leaving=leaving)


class Population:
    """Trains the trials of a cohort together."""

    def __init__(self) -> None:
        self._templates: OrderedDict[Hashable, Template] = OrderedDict()
        self._programs: dict[tuple[Hashable, int], list[Program]] = {}
        self._data: tuple[SearchSplits[Arrays], _Data, _Data] | None = None

    def train(self, cohort: Cohort, plan: TrainingPlan, encoding: Encoding, splits: SearchSplits[Arrays]) -> Progress:
        """See `Engine`."""
        shapes: dict[tuple[Hashable, int], list[_Member]] = {}
        for trial in cohort.trials:
            account = Account(trial, plan, engine="population")
            try:
                recipe = Recipe.of(trial, plan, encoding)
                fault = recipe.infeasible()
                if fault is None:
                    template = self._template(recipe)
                    account.describe(parameter_count=template.parameter_count, summary=template.summary)
            except NotShared as reason:
                log.info("trial %d is left to fit: %s", trial.number, reason)
                yield from instead(trial, plan, encoding, splits, str(reason))
                continue
            except Exception as error:
                yield account.failed(error)
                continue
            if fault is not None:
                yield account.infeasible(fault)
                continue
            member = _Member(trial, account, recipe, account.resume())
            yield from account.replay()
            shapes.setdefault((shape_of(recipe), recipe.training.batch_size), []).append(member)
        for key, members in shapes.items():
            yield from self._courses(key, members, splits)

    def _courses(self, key: tuple[Hashable, int], members: list[_Member], splits: SearchSplits[Arrays]) -> Progress:
        """Trials of one shape from their first epoch to their results."""
        try:
            train, validation = self._on_device(splits)
            program = self._program(key, members)
            groups = [_begun(program, some) for some in _dealt(members, program.lanes)]
        except Exception as error:
            for member in members:
                yield member.account.failed(error)
            return
        ended = [result for group in groups for result in group.left(frozenset())]  # lost after the last epoch
        while True:
            for result in ended:  # noqa: UP028 - a list cannot be sent a verdict
                yield result
            groups = [group for group in groups if any(group.alive())]
            alive = [member for group in groups for _, member in group.alive()]
            if not alive:
                return
            program, groups = self._compacted(key, program, groups, alive)
            begun = time.monotonic()
            ended = []
            reports: list[Epoch] = []
            for group in groups:
                ended += _attempted(group, functools.partial(_launch, program, group, train, validation))
            for group in groups:
                ended += _attempted(group, functools.partial(_collect, program, group, begun, len(alive), reports))
            try:
                stopped = (yield tuple(reports)) if reports else frozenset()
            except GeneratorExit:
                for group in groups:
                    group.keep(program, leaving=True)
                raise
            for group in groups:
                ended += group.left(stopped)
                ended += _attempted(group, functools.partial(group.keep, program))

    def _compacted(
        self, key: tuple[Hashable, int], program: Program, groups: list[_Group], alive: list[_Member]
    ) -> tuple[Program, list[_Group]]:
        """The groups without those that have left, if that makes for fewer groups or far fewer lanes."""
        lanes = _lanes(program.template, key[1], len(alive))
        smaller = self._program(key, alive) if lanes * 4 <= program.lanes else program
        if smaller is program and len(groups) <= -(-len(alive) // program.lanes):
            return program, groups
        held = [
            (member, program.lane((group.state, group.knobs), lane))
            for group in groups
            for lane, member in group.alive()
        ]
        return smaller, [_regrouped(smaller, some) for some in _dealt(held, smaller.lanes)]

    def _template(self, recipe: Recipe) -> Template:
        """The template of `recipe`'s shape; the least recently used one makes room for a new one."""
        if recipe.plan.precision == "mixed_float16":
            raise NotShared("mixed_float16 needs a scaled loss")
        key = shape_of(recipe)
        if key not in self._templates:
            template = Template(recipe)
            quicken(template.model)
            self._templates[key] = template
            if len(self._templates) > PROGRAMS:
                gone, _ = self._templates.popitem(last=False)
                self._programs = {kept: some for kept, some in self._programs.items() if kept[0] != gone}
        self._templates.move_to_end(key)
        return self._templates[key]

    def _program(self, key: tuple[Hashable, int], members: Sequence[_Member]) -> Program:
        """A program with the rules of all members' optimizers, compiled when it first runs."""
        template, batch = self._templates[key[0]], key[1]
        lanes = _lanes(template, batch, len(members))
        kept = self._programs.setdefault(key, [])
        needed = {member.recipe.optimizer.name for member in members}
        near = next((program for program in kept if program.lanes == lanes), None)
        if near is not None and needed <= set(near.optimizers):
            return near
        if near is not None:
            kept.remove(near)
            needed |= set(near.optimizers)
        kept.append(Program(template, batch=batch, optimizers=tuple(sorted(needed)), lanes=lanes))
        return kept[-1]

    def _on_device(self, splits: SearchSplits[Arrays]) -> tuple[_Data, _Data]:
        if self._data is None or self._data[0] is not splits:
            self._data = (splits, _Data(splits.train), _Data(splits.validation))
        return self._data[1:]


def _begun(program: Program, members: Sequence[_Member]) -> _Group:
    """A group before its first epoch."""
    filled = _filled_up(members, program.lanes)
    knobs = program.knobs([member.recipe for member in filled])
    return _Group(_with_gaps(members, program.lanes), program.start(filled), knobs)


def _regrouped(program: Program, held: Sequence[tuple[_Member, Any]]) -> _Group:
    """A group of trials that have begun, from what their lanes held."""
    members = [member for member, _ in held]
    arrays = _filled_up([arrays for _, arrays in held], program.lanes)
    state, knobs = (program.stacked([pair[i] for pair in arrays]) for i in (0, 1))
    return _Group(_with_gaps(members, program.lanes), state, knobs)


def _launch(program: Program, group: _Group, train: _Data, validation: _Data) -> None:
    """Start an epoch; JAX goes on with it while the next group is started."""
    rows, rates = [], []
    members = [member for _, member in group.alive()]
    for member in (member or members[0] for member in group.members):
        epoch = member.account.course.epochs + 1
        rows.append(order(member.recipe.seed, epoch, len(train)))
        rates.append(member.recipe.rates(epoch, member.recipe.steps(len(train)), member.account.course.history))
    state, total, trained = program.train(group.state, group.knobs, train, np.stack(rows), np.stack(rates))
    group.state = state
    group.last_rates = [float(some[-1]) for some in rates]
    group.epoch = (total, trained, program.judge(state, validation))


def _collect(program: Program, group: _Group, begun: float, count: int, reports: list[Epoch]) -> None:
    """Wait for the epoch, and have every trial take note of it."""
    found = program.summed_up(*group.epoch)
    seconds = (time.monotonic() - begun) / count
    for lane, member in group.alive():
        metrics = found[lane] | {"learning_rate": group.last_rates[lane]}
        report = member.account.take(metrics, seconds, functools.partial(_held, program, group.state, lane))
        if report is not None:
            reports.append(report)


def _attempted(group: _Group, work: Callable[[], object]) -> list[TrialResult]:
    """Do `work`; if it fails, all trials of the group end with it."""
    try:
        work()
    except Exception as error:
        failed = [member.account.failed(error) for _, member in group.alive()]
        group.members = [None] * len(group.members)
        return failed
    return []


def _held(program: Program, state: State, lane: int) -> Callable[[], list[Array]]:
    """The weights of a lane, copied at once: the next epoch writes over them."""
    flat, others = program.lane((state.flat, state.others), lane)
    return lambda: program.template.weights(flat, others)


def _arrays(program: Program, state: State, lane: int) -> Mapping[str, Array]:
    """What a lane holds, by name."""
    return steps.to_arrays(program.lane(state, lane))


def _dealt(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


def _filled_up(items: Sequence[Item], size: int) -> list[Item]:
    """`items`, the last of them repeated up to `size`."""
    return [*items, *[items[-1]] * (size - len(items))]


def _with_gaps(members: Sequence[_Member], size: int) -> list[_Member | None]:
    return [*members, *[None] * (size - len(members))]


def _lanes(template: Template, batch: int, count: int) -> int:
    """How many lanes a program for `count` trials has."""
    if jax.default_backend() == "cpu":
        dense = (keras.layers.Dense, keras.layers.BatchNormalization, keras.layers.LayerNormalization)
        layers = [layer for layer in template.model._flatten_layers(include_self=False) if layer.weights]
        is_dense = all(isinstance(layer, (*dense, keras.layers.Embedding)) for layer in layers)
        return LANES if is_dense and template.parameter_count <= SMALL else 1
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
    if not jax.config.jax_threefry_partitionable or jax.config.jax_default_prng_impl != "threefry2x32":
        return False
    return all(
        type(layer).__module__.startswith("keras.src.layers.")
        and not isinstance(layer, keras.layers.BatchNormalization)
        and getattr(layer, "activity_regularizer", None) is None
        for layer in model._flatten_layers(include_self=False)
    )


ENGINE: Engine = Population()

"""Many trials of one shape in one compiled program: `fit`'s numbers at a fraction of its time.

A shape is compiled once; every number in which trials differ is data (see `program/`), and all trials of a cohort that
are alive take each epoch together.  Inside, trials stand side by side in *lanes* (`program/lanes.py` has figures):
small dense networks on a CPU, as many as there is memory for on other devices.  On JAX all other trials are here too,
one after another in a program of a single lane; on TensorFlow they are left to `fused`.

A group that does not fill its lanes is filled up with copies: the numbers of a trial are the same whoever is trained
beside it.
"""

from __future__ import annotations

import functools
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar, cast

import keras
import numpy as np

from searchlab.data import Array, SearchSplits
from searchlab.errors import SpecError
from searchlab.records import Cohort, Epoch, TrainingPlan, Trial, TrialResult
from searchlab.tasks import Arrays, Encoding
from searchlab.training import ENGINES, Engine, Progress
from searchlab.training.account import Account
from searchlab.training.engines.fit import instead
from searchlab.training.order import order
from searchlab.training.program import steps
from searchlab.training.program.dials import NotShared
from searchlab.training.program.feed import Feed
from searchlab.training.program.lanes import Program, Side
from searchlab.training.program.steps import State
from searchlab.training.program.template import Template, shape_of
from searchlab.training.recipe import Recipe

BACKEND = keras.backend.backend()
if BACKEND not in ("jax", "tensorflow"):
    raise SpecError(f"the engine 'population' runs on jax or tensorflow, and Keras runs on {BACKEND} here.")
side = cast(Side, import_module(f"searchlab.training.program.on_{BACKEND}"))

PROGRAMS = 24
"""Shapes whose programs are kept; the least recently used goes first."""

log = logging.getLogger(__name__)

Item = TypeVar("Item")


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
        self._data: tuple[SearchSplits[Arrays], Feed, Feed] | None = None

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
                    if not side.takes(recipe, template):
                        yield from ENGINES.get("fused").train(Cohort((trial,)), plan, encoding, splits)
                        continue
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
            members.sort(key=lambda member: member.recipe.optimizer.name)  # as `Program.knobs` wants them
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
        lanes = side.lanes_of(program.template, key[1], len(alive))
        smaller = self._program(key, alive) if lanes * 4 <= program.lanes else program
        if smaller is program and len(groups) <= -(-len(alive) // program.lanes):
            return program, groups
        held = [(member, program.lane(group.state, lane)) for group in groups for lane, member in group.alive()]
        return smaller, [_regrouped(smaller, some) for some in _dealt(held, smaller.lanes)]

    def _template(self, recipe: Recipe) -> Template:
        """The template of `recipe`'s shape; the least recently used one makes room for a new one."""
        if recipe.plan.precision == "mixed_float16":
            raise NotShared("mixed_float16 needs a scaled loss")
        key = shape_of(recipe)
        if key not in self._templates:
            with side.drawing():
                template = Template(recipe)
            side.prepare(template)
            self._templates[key] = template
            if len(self._templates) > PROGRAMS:
                gone, _ = self._templates.popitem(last=False)
                self._programs = {kept: some for kept, some in self._programs.items() if kept[0] != gone}
        self._templates.move_to_end(key)
        return self._templates[key]

    def _program(self, key: tuple[Hashable, int], members: Sequence[_Member]) -> Program:
        """A program with the rules of all optimizers that may come, compiled when it first runs.

        So no shape is compiled again for another optimizer, in this process or the next; a rule more costs a tenth of
        that.
        """
        template, batch = self._templates[key[0]], key[1]
        lanes = side.lanes_of(template, batch, len(members))
        kept = self._programs.setdefault(key, [])
        needed = {member.recipe.optimizer.name for member in members}
        near = next((program for program in kept if program.lanes == lanes), None)
        if near is not None and needed <= set(near.optimizers):
            return near
        if near is not None:
            kept.remove(near)
            needed |= set(near.optimizers)
        needed |= set(members[0].recipe.plan.optimizers)
        kept.append(side.Program(template, batch=batch, optimizers=tuple(sorted(needed)), lanes=lanes))
        return kept[-1]

    def _on_device(self, splits: SearchSplits[Arrays]) -> tuple[Feed, Feed]:
        if self._data is None or self._data[0] is not splits:
            self._data = (splits, side.feed(splits.train), side.feed(splits.validation))
        return self._data[1:]


def _begun(program: Program, members: Sequence[_Member]) -> _Group:
    """A group before its first epoch."""
    filled = _filled_up(members, program.lanes)
    knobs = program.knobs([member.recipe for member in filled])
    with side.drawing():
        states = [
            steps.first(member.recipe, program.template) if member.saved is None else steps.from_arrays(member.saved)
            for member in filled
        ]
    return _Group(_with_gaps(members, program.lanes), program.stacked(states), knobs)


def _regrouped(program: Program, held: Sequence[tuple[_Member, Any]]) -> _Group:
    """A group of trials that have begun, from what their lanes held."""
    filled = _filled_up(held, program.lanes)
    knobs = program.knobs([member.recipe for member, _ in filled])  # another program counts optimizers otherwise
    state = program.stacked([state for _, state in filled])
    return _Group(_with_gaps([member for member, _ in held], program.lanes), state, knobs)


def _launch(program: Program, group: _Group, train: Feed, validation: Feed) -> None:
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


ENGINE: Engine = Population()

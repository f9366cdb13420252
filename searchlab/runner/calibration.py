"""What the engines cost on this machine for such a study: measured by training, kept in a file of the home.

`searchlab show STUDY --engines` measures: for each engine one child, one core, the study's own data and first guess.
Measured are the seconds until a child is ready, those of the first trial (its shape is traced or compiled) and those of
each further trial of that shape.  `engine: auto` uses what is in the file.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from searchlab import atomic, devices, seeds
from searchlab.data import SOURCES, Sized
from searchlab.errors import ServiceError
from searchlab.executors import EXECUTORS, Message, Pool
from searchlab.records import Cohort, TrainingPlan, Trial, TrialResult
from searchlab.runner import engines
from searchlab.runner.home import Home
from searchlab.runner.lab import Lab, families_of
from searchlab.runner.machine import versions
from searchlab.runner.messages import ENTRY, Idle, Job, Ready, Setup
from searchlab.runner.plugins import value_parameters
from searchlab.runner.slots import slots
from searchlab.space import Params, Space
from searchlab.space.measure import corners, first_guesses, shapes
from searchlab.spec import StudySpec

EPOCHS = 5
"""Epochs of each measured trial, at most."""

PATIENCE = 600.0
"""Seconds after which a silent child is given up."""


@dataclass(frozen=True)
class Cost:
    """What an engine takes, on one worker."""

    engine: str
    backend: str
    together: int
    start: float
    """Seconds until a child is ready."""
    first: float = 0.0
    """Seconds of the first trial of a shape."""
    next: float = 0.0
    """Seconds of each further one, of the study's number of epochs."""
    weights: int = 0
    """The network's."""
    fault: str | None = None
    """Why it cannot be trained."""


def measure(lab: Lab) -> Iterator[Cost]:
    """Train a few trials with every engine that can serve this study, and keep the figures."""
    found: dict[str, Cost] = {}
    for name in engines.candidates(lab.plan):
        choice = engines.choose(name, plan=lab.plan, families=families_of(lab.spec))
        (found[name],) = costs_of(lab, choice, [guess_of(lab.spec.space)])
        if found[name].fault is not None:
            raise ServiceError(f"the first guess of this study cannot be trained: {found[name].fault}")
        yield found[name]
    content = _read(_file(lab.home))
    content[key_of(lab.spec)] = {name: asdict(cost) for name, cost in found.items()}
    atomic.write_json(_file(lab.home), content)


def known(spec: StudySpec, home: Home) -> Mapping[str, float]:
    """Seconds a trial takes, by engine, where that was measured for such a study; else empty.

    The first trial of a shape counts with those that share its program.
    """
    costs = {name: Cost(**cost) for name, cost in _read(_file(home)).get(key_of(spec), {}).items()}
    shared = trials_a_shape(spec)
    return {name: cost.next + max(0.0, cost.first - cost.next) / shared for name, cost in costs.items()}


def choice_of(spec: StudySpec, home: Home) -> engines.Choice:
    """What trains `spec`: what trained it before, else what it asks for, by what was measured here for such a study."""
    return engines.settled(
        home.study(spec.name).folder,
        spec.training,
        families=families_of(spec),
        measured=known(spec, home),
        trials_a_shape=trials_a_shape(spec),
        numbers=numbers_of(spec),
    )


def numbers_of(spec: StudySpec) -> int | None:
    """How many numbers an example of the study has, where its source can tell before it is read."""
    source = SOURCES.get(spec.data.source.name)
    if not isinstance(source, Sized):
        return None
    try:
        shape = source.shape(source.Options(**spec.data.source.options), spec.folder)
    except ValueError:  # faults of the study file are told elsewhere
        return None
    return None if shape is None else math.prod(shape)


def trials_a_shape(spec: StudySpec) -> float:
    """How many of the study's trials share a traced program, about: at least one."""
    count = shapes(spec.space, value_parameters(spec.task))
    return 1.0 if count is None else max(1.0, spec.search.trials / count)


def key_of(spec: StudySpec) -> str:
    """What measurements hold for: this machine, these versions, this data, this space, so many epochs."""
    asked = engines.named(spec.training.backend)
    facts = {
        "cores": devices.cores(),
        "gpus": len(devices.gpus()),
        "versions": versions(("keras", "tensorflow", "jax", "torch")),
        "data": {key: spec.resolved()[key] for key in ("data", "task")},
        "space": spec.space.digest(),
        "precision": spec.training.precision,
        "epochs": spec.training.epochs,
        **({} if asked is None else {"backend": asked}),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def guess_of(space: Space) -> Params:
    """What is measured with: the first guess, else a middle of the space's corners."""
    guesses = first_guesses(space) or tuple(corners(space))
    return guesses[0]


def costs_of(
    lab: Lab, choice: engines.Choice, configurations: Sequence[Params], *, epochs: int = EPOCHS
) -> Iterator[Cost]:
    """Train each of `configurations` a few times in one child, for so many `epochs` at most."""
    (slot,) = slots(1, 1, "auto" if devices.gpus() else 0)
    plan: TrainingPlan = replace(
        lab.plan, epochs=min(epochs, lab.plan.epochs), early_stopping=None, weights_folder=None
    )
    setup = Setup(
        data=str(lab.prepared.folder), encoding=lab.encoding.to_json(), plan=plan, engine=choice.engine, prunes=False
    )
    place = replace(slot, environment={**slot.environment, **choice.environment()})
    begun = time.monotonic()
    pool = EXECUTORS.get("local").open([place], entry=ENTRY, setup=setup, log_folder=str(lab.folder.logs))
    try:
        _until(pool, Ready)
        start = time.monotonic() - begun
        for params in configurations:
            first, (result,) = _trained(pool, [Trial(0, params, seeds.derive(0, "calibration", 0))])
            if result.state == "failed":
                yield Cost(choice.engine, choice.backend, choice.together, start, fault=result.reason)
                continue
            count = max(2, choice.together)
            many = [Trial(n, params, seeds.derive(0, "calibration", n)) for n in range(1, count + 1)]
            if choice.together > 1:
                _trained(pool, many)  # a population of this size is compiled
            again = _trained(pool, many)[0] / count
            further = again * lab.plan.epochs / plan.epochs
            yield Cost(
                choice.engine,
                choice.backend,
                choice.together,
                start,
                first=max(0.0, first - again) + further,
                next=further,
                weights=result.parameter_count or 0,
            )
    finally:
        pool.close()


def _trained(pool: Pool, trials: list[Trial]) -> tuple[float, list[TrialResult]]:
    """The seconds that these trials take together, and what they came to."""
    begun = time.monotonic()
    pool.send(0, Job(Cohort(tuple(trials))))
    results = [said for said in _until(pool, Idle) if isinstance(said, TrialResult)]
    return time.monotonic() - begun, results


def _until(pool: Pool, kind: type[Any]) -> list[Any]:
    """What the child says until it says something of `kind`."""
    heard: list[Any] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for item in pool.wait(1.0):
            if not isinstance(item, Message):
                raise ServiceError(f"a training process died while it was measured: {item.reason}\n{item.log_tail}")
            heard.append(item.content)
            if isinstance(item.content, kind):
                return heard
    raise ServiceError(f"a training process said nothing for {PATIENCE:.0f} s while it was measured")


def _file(home: Home) -> Path:
    return home.folder / "engines.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

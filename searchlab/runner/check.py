"""Everything that can be wrong with a study before its data is looked at: all faults at once, without Keras."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from searchlab.config.validation import validate
from searchlab.data import SOURCES, SPLITS
from searchlab.errors import SpecError, SpecErrors, UnknownName
from searchlab.executors import EXECUTORS, Clustered
from searchlab.options import Options
from searchlab.records import Direction, Objective
from searchlab.runner.augmentable import faults_before_data
from searchlab.runner.engines import AUTO, agree
from searchlab.runner.plugins import space_options
from searchlab.search import PRUNERS, SAMPLERS
from searchlab.space.check import check as check_space
from searchlab.spec import Plugin, StudySpec
from searchlab.tasks import TASKS
from searchlab.training import ENGINES


@dataclass(frozen=True)
class Checked:
    """The options of the named plugins, and the objective with its direction."""

    source: Options
    sampler: Options
    pruner: Options
    objective: Objective


def check(spec: StudySpec) -> Checked:
    """Look up every name of `spec` and check every option and range against its plugin.

    Raises:
        SpecErrors: All faults, each with its place, what is allowed and the nearest match.
    """
    errors: list[SpecError] = []
    source = sampler = pruner = None
    objective: Objective | None = None
    for kind, known, name, place in (
        (SPLITS.kind, SPLITS.names(), spec.data.split.by, "data.split.by"),
        (ENGINES.kind, (AUTO, *ENGINES.names()), spec.training.engine, "training.engine"),
        (EXECUTORS.kind, EXECUTORS.names(), spec.execution.executor, "execution.executor"),
    ):
        if name not in known:
            errors.append(UnknownName.among(known, kind=kind, name=name, mark=spec.mark(place)))
    executor = spec.execution.executor
    if spec.execution.address is not None and executor in EXECUTORS.names():
        if not isinstance(EXECUTORS.get(executor), Clustered):
            words = f"address is for executors of a cluster (ray), and {executor!r} is none; leave it out"
            errors.append(SpecError(words, spec.mark("execution.address")))
    with _collecting(errors):
        _check_packing(spec)
    with _collecting(errors):
        agree(spec.training.backend, spec.training.engine, spec.mark("training.backend"))
    with _collecting(errors):
        source = _options(spec.data.source, SOURCES.get(spec.data.source.name, spec.data.source.mark).Options)
    with _collecting(errors):
        sampler = _options(
            spec.search.sampler, SAMPLERS.get(spec.search.sampler.name, spec.search.sampler.mark).Options
        )
    with _collecting(errors):
        pruner = _options(spec.search.pruner, PRUNERS.get(spec.search.pruner.name, spec.search.pruner.mark).Options)
    with _collecting(errors):
        TASKS.get(spec.task, spec.mark("task"))
        with _collecting(errors):
            objective = _objective(spec)
        errors += faults_before_data(spec.space, spec.task)
        check_space(spec.space, space_options(spec.task))
    if errors:
        raise errors[0] if len(errors) == 1 else SpecErrors(errors)
    assert source is not None and sampler is not None and pruner is not None and objective is not None
    return Checked(source, sampler, pruner, objective)


def _check_packing(spec: StudySpec) -> None:
    """What can be said of `trials_per_gpu` before the machine is looked at."""
    asked = spec.execution
    if asked.trials_per_gpu == "auto":
        return
    if asked.gpus == 0:
        words = f"trials_per_gpu is {asked.trials_per_gpu}, but gpus: 0 asks for none; leave one of them out"
        raise SpecError(words, spec.mark("execution.trials_per_gpu"))
    if asked.gpus == "auto" or asked.workers == "auto":
        return
    room = asked.gpus * asked.trials_per_gpu
    if asked.workers > room:
        raise SpecError(
            f"{asked.workers} workers are more than {asked.gpus} GPU(s) with {asked.trials_per_gpu} trial(s) each "
            f"take, which is {room}; leave workers out, or raise trials_per_gpu",
            spec.mark("execution.workers"),
        )


@contextmanager
def _collecting(errors: list[SpecError]) -> Iterator[None]:
    try:
        yield
    except SpecError as error:
        errors.append(error)


def _options(plugin: Plugin, options: type[Options]) -> Options:
    return validate(plugin.node, options, what=plugin.name)


def _objective(spec: StudySpec) -> Objective:
    """The metric that the study names, else the task's own, and the way that is better."""
    task = TASKS.get(spec.task)
    known: dict[str, Direction] = {f"val_{name}": direction for name, direction in task.metrics.items()}
    metric = spec.search.objective or task.objective
    if metric not in known:
        place = spec.mark("search.objective")
        if metric.startswith("test_"):
            raise SpecError(f"the objective must be a validation metric, not {metric!r}: the test set is sealed", place)
        raise UnknownName.among(list(known), kind="validation metric", name=metric, mark=place)
    if spec.search.direction not in (None, known[metric]):
        raise SpecError(
            f"{metric} is better when it is {'higher' if known[metric] == 'maximize' else 'lower'}, "
            f"but the direction is {spec.search.direction!r}",
            spec.mark("search.direction"),
        )
    return Objective(metric, known[metric])

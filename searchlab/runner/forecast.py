"""What a study will take, before it is begun: `searchlab plan`.

The first guess and the corners of the space (all-low and all-high, for each family) are trained for two epochs by the
engine that the study will have, in one child on one core; so a corner that cannot be trained shows before it is paid
for.  Between the corners costs are taken to be even on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from searchlab.runner.calibration import Cost, choice_of, costs_of, guess_of, trials_a_shape
from searchlab.runner.corners import model_corners
from searchlab.runner.engines import Choice
from searchlab.runner.home import Home
from searchlab.runner.lab import assemble
from searchlab.runner.plugins import value_parameters
from searchlab.runner.slots import placed
from searchlab.runner.watch import Watcher
from searchlab.space import Params, Space
from searchlab.space.measure import shapes
from searchlab.spec import StudySpec

EPOCHS = 2
"""Epochs that each configuration is tried for."""

AROUND = 5.0
"""Seconds of a run besides training: reading data, choosing, drawing, writing the model."""

COPIES = 4
"""What a checkpoint holds, at most, in copies of the weights: them, two of the optimizer, the best ones."""


@dataclass(frozen=True)
class Forecast:
    """What a study will take on this machine."""

    counts: dict[str, int]
    """Examples by part."""
    choice: Choice
    workers: int
    threads: int
    shapes: int | None
    """Programs that the space has; None without an end."""
    shared: float
    """Trials that share one, about."""
    costs: tuple[tuple[str, Cost], ...]
    """By what was tried: "first guess", or the values of a corner."""
    seconds: float
    """Of the whole study, when no trial is ended early; NaN when nothing could be trained."""
    disk: int
    """Bytes of weights and checkpoints at a time, at most."""

    @property
    def faults(self) -> tuple[tuple[str, str], ...]:
        """What cannot be trained, and why."""
        return tuple((name, cost.fault) for name, cost in self.costs if cost.fault is not None)


def forecast(spec: StudySpec, home: Home, watcher: Watcher) -> Forecast:
    """Try `spec` on this machine.

    Raises:
        SpecError: Faults of the study file, all together.
        DataError: The data cannot be read, split or learned from.
        ServiceError: A training process cannot be had.
    """
    lab = assemble(spec, home, watcher)
    shared = trials_a_shape(spec)
    choice = choice_of(spec, home)
    with placed(spec, lab.folder.logs) as (_, places):
        pass
    tried = dict(_tried(spec.space))
    watcher.stage(f"trying {len(tried)} configurations for {EPOCHS} epochs each")
    costs = tuple(zip(tried, costs_of(lab, choice, list(tried.values()), epochs=EPOCHS), strict=True))
    trained = [cost for _, cost in costs if cost.fault is None]
    largest = max((cost.weights for cost in trained), default=0)
    return Forecast(
        counts=dict(lab.prepared.counts),
        choice=choice,
        workers=len(places),
        threads=int(places[0].environment.get("OMP_NUM_THREADS", 1)),
        shapes=shapes(spec.space, value_parameters(spec.task)),
        shared=shared,
        costs=costs,
        seconds=_seconds(spec.search.trials, trained, len(places), shared),
        disk=4 * largest * (max(1, spec.execution.keep_weights) + 2 * COPIES * len(places) * choice.together),
    )


def _tried(space: Space) -> Iterator[tuple[str, Params]]:
    """What is tried, by the values of the model's options that vary."""
    yield "first guess", guess_of(space)
    varied = {parameter.name for parameter in space.varied}
    for params, values in model_corners(space):
        model = params.pick("model").name
        shown = [f"{name}={value}" for name, value in values.items() if f"model.{model}.{name}" in varied]
        yield " ".join([model, *shown]), params


def _seconds(trials: int, costs: list[Cost], workers: int, shared: float) -> float:
    if not costs:
        return math.nan
    further = math.exp(sum(math.log(max(cost.next, 1e-4)) for cost in costs) / len(costs))
    first = sum(max(0.0, cost.first - cost.next) for cost in costs) / len(costs)
    return AROUND + costs[0].start + (trials * further + trials / shared * first) / min(workers, trials)

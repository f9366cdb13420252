"""How weights move: optimizers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from searchlab.catalog import Catalog
from searchlab.data import Array
from searchlab.options import Options

if TYPE_CHECKING:
    import keras

Memory: TypeAlias = tuple[Any, Any, Any]
"""What an optimizer remembers between two steps: two arrays shaped like the weights, and a scalar."""

Settings: TypeAlias = Mapping[str, tuple[Any, Any]]
"""An optimizer's options as scalar tensors, each with its complement 1 - option (rounded once, not twice); a bool is 1
or 0."""


class Optimizer(Protocol):
    """A gradient method.  A file in `optim/optimizers/` binds one to `OPTIMIZER`."""

    Options: type[Options]
    """Its hyperparameters; all have `learning_rate`, the rate at which the schedule's factor is 1."""

    def build(
        self, options: Any, learning_rate: float | keras.optimizers.schedules.LearningRateSchedule, **clipping: float
    ) -> keras.optimizers.Optimizer:
        """A fresh Keras optimizer; `clipping` is what Keras takes (`global_clipnorm=…`)."""

    def memory(self, options: Any) -> tuple[float, float, float]:
        """What the memory is filled with before the first step."""

    def update(
        self, weights: Any, gradient: Any, memory: Memory, *, step: Any, rate: Any, settings: Settings
    ) -> tuple[Any, Memory]:
        """All weights as one vector after a step along `gradient`; pure, in `keras.ops`, the numbers of `build`'s own.

        `step` counts from 1, as a float.  The optimizer is *data* in compiled engines: one program holds the rules of
        all and chooses by a number, so every rule keeps its memory in the same form.
        """


class Schedule(Protocol):
    """How the learning rate changes.  A file in `optim/schedules/` binds one to `SCHEDULE`."""

    Options: type[Options]

    def factors(self, options: Any, *, epoch: int, epochs: int, steps: int, history: Sequence[float]) -> Array:
        """(steps,) factors in [0, 1] on the base rate, one for each optimizer step of `epoch` (from 1, of `epochs`).

        `history` holds the objective of the epochs before, as a loss (lower is better).  A pure function: the same
        arguments give the same factors, so a resumed or a compiled trial sees the same rates.
        """


OPTIMIZERS: Catalog[Optimizer] = Catalog("searchlab.optim.optimizers", binds="OPTIMIZER", kind="optimizer")
SCHEDULES: Catalog[Schedule] = Catalog("searchlab.optim.schedules", binds="SCHEDULE", kind="schedule")

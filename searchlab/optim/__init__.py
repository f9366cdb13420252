"""How weights move: optimizers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from searchlab.catalog import Catalog
from searchlab.data import Array
from searchlab.options import Options

if TYPE_CHECKING:
    import keras


class Optimizer(Protocol):
    """A gradient method.  A file in `optim/optimizers/` binds one to `OPTIMIZER`."""

    Options: type[Options]
    """Its hyperparameters; all have `learning_rate`, the rate at which the schedule's factor is 1."""

    def build(
        self, options: Any, learning_rate: float | keras.optimizers.schedules.LearningRateSchedule, **clipping: float
    ) -> keras.optimizers.Optimizer:
        """A fresh Keras optimizer; `clipping` is what Keras takes (`global_clipnorm=…`)."""


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

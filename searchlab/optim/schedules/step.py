"""The rate is cut by a factor each time another share of the run is over (He et al. 2016, arXiv:1512.03385)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchlab import options
from searchlab.data import Array
from searchlab.optim import Schedule
from searchlab.options import value


class StepOptions(options.Options):
    """Settings of the `step` schedule."""

    every: float = value(0.34, gt=0.0, lt=1.0)
    """Share of all steps between two cuts."""
    factor: float = value(0.1, gt=0.0, lt=1.0)
    """What each cut multiplies the rate by."""


class Step:
    """A staircase down."""

    Options: type[options.Options] = StepOptions

    def factors(self, options: StepOptions, *, epoch: int, epochs: int, steps: int, history: Sequence[float]) -> Array:
        """(steps,) factors; the history does not matter."""
        progress = ((epoch - 1) * steps + np.arange(steps)) / (epochs * steps)
        cuts = np.floor(progress / options.every + 1e-9)  # 1e-9: three times a third of a run is a whole run
        return np.asarray(options.factor**cuts)


SCHEDULE: Schedule = Step()

"""The same rate from the first step to the last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchlab import options
from searchlab.data import Array
from searchlab.optim import Schedule


class ConstantOptions(options.Options):
    """The `constant` schedule has no settings."""


class Constant:
    """A factor of 1 at every step."""

    Options: type[options.Options] = ConstantOptions

    def factors(
        self, options: ConstantOptions, *, epoch: int, epochs: int, steps: int, history: Sequence[float]
    ) -> Array:
        """(steps,) ones."""
        return np.ones(steps)


SCHEDULE: Schedule = Constant()

"""The rate is cut whenever the objective has not improved for some epochs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchlab import options
from searchlab.data import Array
from searchlab.optim import Schedule
from searchlab.options import value


class PlateauOptions(options.Options):
    """Settings of the `plateau` schedule."""

    patience: int = value(3, ge=1)
    """Epochs without a better objective before a cut; the count starts again after each cut."""
    factor: float = value(0.5, gt=0.0, lt=1.0)
    """What each cut multiplies the rate by."""
    minimum: float = value(0.001, ge=0.0, le=1.0)
    """Share of the rate below which no cut goes."""


class Plateau:
    """Follows the validation results, one rate for each epoch."""

    Options: type[options.Options] = PlateauOptions

    def factors(
        self, options: PlateauOptions, *, epoch: int, epochs: int, steps: int, history: Sequence[float]
    ) -> Array:
        """(steps,) equal factors that follow from the whole `history`; NaN counts as no improvement."""
        factor, best, waited = 1.0, float("inf"), 0
        for loss in history:
            if loss < best:
                best, waited = loss, 0
                continue
            waited += 1
            if waited == options.patience:
                factor, waited = max(factor * options.factor, options.minimum), 0
        return np.full(steps, factor)


SCHEDULE: Schedule = Plateau()

"""Half a cosine from the full rate down to a final share of it (Loshchilov & Hutter 2017, arXiv:1608.03983)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchlab import options
from searchlab.data import Array
from searchlab.optim import Schedule
from searchlab.options import value


class CosineOptions(options.Options):
    """Settings of the `cosine` schedule."""

    final: float = value(0.0, ge=0.0, le=1.0)
    """Share of the rate that is left at the end of the last epoch."""


class Cosine:
    """Falls slowly, then fast, then slowly again."""

    Options: type[options.Options] = CosineOptions

    def factors(
        self, options: CosineOptions, *, epoch: int, epochs: int, steps: int, history: Sequence[float]
    ) -> Array:
        """(steps,) factors; the history does not matter."""
        progress = ((epoch - 1) * steps + np.arange(steps)) / (epochs * steps)
        return options.final + (1.0 - options.final) * 0.5 * (1.0 + np.cos(np.pi * progress))


SCHEDULE: Schedule = Cosine()

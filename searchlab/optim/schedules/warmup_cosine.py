"""A straight rise to the full rate, then half a cosine down (Goyal et al. 2017, arXiv:1706.02677; arXiv:1608.03983)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchlab import options
from searchlab.data import Array
from searchlab.optim import Schedule
from searchlab.options import value


class WarmupCosineOptions(options.Options):
    """Settings of the `warmup_cosine` schedule."""

    warmup: float = value(0.05, ge=0.0, lt=1.0)
    """Share of all steps spent rising."""
    final: float = value(0.0, ge=0.0, le=1.0)
    """Share of the rate that is left at the end of the last epoch."""


class WarmupCosine:
    """Starts gently while the weights are far from anything good, ends as `cosine` does."""

    Options: type[options.Options] = WarmupCosineOptions

    def factors(
        self, options: WarmupCosineOptions, *, epoch: int, epochs: int, steps: int, history: Sequence[float]
    ) -> Array:
        """(steps,) factors; the history does not matter."""
        total = epochs * steps
        rise = round(options.warmup * total)
        step = (epoch - 1) * steps + np.arange(steps)
        progress = np.clip((step - rise) / max(1, total - rise), 0.0, 1.0)
        fall = options.final + (1.0 - options.final) * 0.5 * (1.0 + np.cos(np.pi * progress))
        return np.where(step < rise, (step + 1) / max(1, rise), fall)  # + 1: the first step must move


SCHEDULE: Schedule = WarmupCosine()

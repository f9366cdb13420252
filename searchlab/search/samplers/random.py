"""Uniform (or log-uniform) draws, each trial by itself: the yardstick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchlab import options, seeds
from searchlab.lazy import lazy
from searchlab.search import Cohorts
from searchlab.space import Space

if TYPE_CHECKING:
    import optuna
else:
    optuna = lazy("optuna")


class Random:
    """Independent draws."""

    cohorts: Cohorts = "any order"

    class Options(options.Options):
        """Nothing to set."""

    def make(self, options: Options, space: Space, *, seed: int, number: int) -> optuna.samplers.BaseSampler:
        """The sampler of draw `number`."""
        return optuna.samplers.RandomSampler(seed=seeds.derive(seed, "sampler", number))


SAMPLER = Random()

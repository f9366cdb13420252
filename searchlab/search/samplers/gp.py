"""Gaussian-process Bayesian optimization, for few and costly trials; needs the extra `gp` (PyTorch).

Optuna's sampler: Matérn 5/2 kernel, log expected improvement.  What is inactive in some trials is drawn at random.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from searchlab import options, seeds
from searchlab.errors import MissingExtra
from searchlab.lazy import lazy
from searchlab.options import value
from searchlab.search import Cohorts
from searchlab.space import Space

if TYPE_CHECKING:
    import optuna
else:
    optuna = lazy("optuna")


class GaussianProcess:
    """Optuna's GP sampler."""

    cohorts: Cohorts = "none"

    class Options(options.Options):
        """Settings of the `gp` sampler."""

        startup_trials: int = value(10, ge=1)
        """Trials drawn at random before the process is fitted."""

    def make(self, options: Options, space: Space, *, seed: int, number: int) -> optuna.samplers.BaseSampler:
        """The sampler of draw `number`."""
        if importlib.util.find_spec("torch") is None:
            raise MissingExtra.of("gp", needed_for="the sampler 'gp'")
        return optuna.samplers.GPSampler(
            n_startup_trials=options.startup_trials, seed=seeds.derive(seed, "sampler", number)
        )


SAMPLER = GaussianProcess()

"""Covariance matrix adaptation: an evolution strategy for real-valued spaces; needs the extra `cmaes`.

Hansen & Ostermeier 2001.  Choices take part as equal shares of a coordinate.
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

    from searchlab.search import evolution
else:
    evolution = lazy("searchlab.search.evolution")


class CmaEs:
    """CMA-ES whose state is worked out anew from the trials."""

    cohorts: Cohorts = "none"

    class Options(options.Options):
        """Settings of the `cmaes` sampler."""

        sigma: float = value(0.25, gt=0.0, le=1.0)
        """Width of the first generation, as a share of each range."""

    def make(self, options: Options, space: Space, *, seed: int, number: int) -> optuna.samplers.BaseSampler:
        """The sampler of draw `number`."""
        if importlib.util.find_spec("cmaes") is None:
            raise MissingExtra.of("cmaes", needed_for="the sampler 'cmaes'")
        return evolution.Evolution(
            space, sigma=options.sigma, draw=seeds.derive(seed, "sampler", number) % 2**31, random=number
        )


SAMPLER = CmaEs()

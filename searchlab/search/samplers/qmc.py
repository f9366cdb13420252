"""A scrambled Sobol sequence: draws that fill the space more evenly than random ones.

Sobol 1967; scrambling after Owen 1998.  Each parameter has a coordinate of its own, whether it is active or not, so
the sequence holds for conditional spaces too; Optuna's sampler would draw those at random.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from searchlab import options, seeds
from searchlab.lazy import lazy
from searchlab.search import Cohorts
from searchlab.space import Space

if TYPE_CHECKING:
    import optuna
    from scipy.stats import qmc  # type: ignore[import-untyped]

    from searchlab.search import domains, draws
else:
    qmc = lazy("scipy.stats.qmc")
    domains = lazy("searchlab.search.domains")
    draws = lazy("searchlab.search.draws")


class Qmc:
    """The n-th point of the sequence for the n-th trial."""

    cohorts: Cohorts = "any order"

    class Options(options.Options):
        """Nothing to set."""

    def make(self, options: Options, space: Space, *, seed: int, number: int) -> optuna.samplers.BaseSampler:
        """The sampler of draw `number`."""
        varied = space.varied
        if not varied:
            return draws.Planned(space, {}, seed=number)
        sequence = qmc.Sobol(len(varied), scramble=True, rng=seeds.derive(seed, "sampler"))
        if number:
            sequence.fast_forward(number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "balance requires n to be a power of 2"
            point = sequence.random(1)[0]
        plan = {p.name: domains.at(p.domain, float(unit)) for p, unit in zip(varied, point, strict=True)}
        return draws.Planned(space, plan, seed=number)


SAMPLER = Qmc()

"""Tree-structured Parzen estimator: draws where good trials are denser than bad ones.

Bergstra et al. 2011, "Algorithms for hyper-parameter optimization"; multivariate as in Falkner et al. 2018
(arXiv:1807.01774).  Where the space is conditional, each group of parameters that occur together has its own joint
density.  Trials that still run count as bad, so parallel workers do not all draw the same.

Why 10 random trials first: 20 and 40 were no better at a budget of 5 full trainings and hardly at 10 (regret 0.39/0.32
and 0.38/0.29 to 0.38/0.33 with successive halving, `benchmarks/search_quality.py`), and a study of 40 trials would
be a random one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchlab import options, seeds
from searchlab.lazy import lazy
from searchlab.options import value
from searchlab.space import Space

if TYPE_CHECKING:
    import optuna
else:
    optuna = lazy("optuna")


class Tpe:
    """Optuna's TPE."""

    class Options(options.Options):
        """Settings of the `tpe` sampler."""

        startup_trials: int = value(10, ge=1)
        """Trials drawn at random before the densities are used; failed ones do not count."""
        candidates: int = value(24, ge=1)
        """Draws of which the most promising one is taken."""

    def make(self, options: Options, space: Space, *, seed: int, number: int) -> optuna.samplers.BaseSampler:
        """The sampler of draw `number`."""
        return optuna.samplers.TPESampler(
            n_startup_trials=options.startup_trials,
            n_ei_candidates=options.candidates,
            seed=seeds.derive(seed, "sampler", number),
            multivariate=True,
            group=space.is_conditional,
            constant_liar=True,
        )


SAMPLER = Tpe()

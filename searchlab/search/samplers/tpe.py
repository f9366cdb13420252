"""Tree-structured Parzen estimator: draws where good trials are denser than bad ones.

Bergstra et al. 2011, "Algorithms for hyper-parameter optimization"; multivariate as in Falkner et al. 2018
(arXiv:1807.01774).  Where the space is conditional, each group of parameters that occur together has its own joint
density.  Trials that still run count as bad, so parallel workers do not all draw the same.

Why half of the draws are random ones: beside early pruning TPE settles too soon.  Each trial near the best one so far
beats the trials that began the study, is trained to its end, and counts as good in turn.  On 14 recorded benchmarks
with learning curves (median of 10 seeds, regret 0 best known, 1 median random, after 5, 10 and 20 full trainings;
`benchmarks/search_quality.py`), with successive halving by 3:

    random_share 0      0.38  0.33  0.30
    random_share 0.33   0.42  0.30  0.27
    random_share 0.5    0.37  0.26  0.25
    random draws alone  0.38  0.27  0.17

and without pruning 0.50/0.38/0.23 at 0, 0.50/0.38/0.24 at 0.5, 0.50/0.38/0.31 for random draws.  So beside successive
halving TPE does not beat random draws of the same cost; it needs fewer trials (about 100 for 260), not less training.
The median rule beside TPE reached 0.50/0.27/0.19 at 0 and 0.50/0.30/0.20 at 0.5.
20 or 40 random trials first, in place of 10, gave 0.39/0.32 and 0.38/0.29 at a share of 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchlab import options, seeds
from searchlab.lazy import lazy
from searchlab.options import value
from searchlab.search import Cohorts
from searchlab.space import Space

if TYPE_CHECKING:
    import optuna
else:
    optuna = lazy("optuna")


class Tpe:
    """Optuna's TPE."""

    cohorts: Cohorts = "same shape"

    class Options(options.Options):
        """Settings of the `tpe` sampler."""

        startup_trials: int = value(10, ge=1)
        """Trials drawn at random before the densities are used; failed ones do not count."""
        random_share: float = value(0.5, ge=0.0, le=1.0)
        """Share of trials that are drawn at random all the same."""
        candidates: int = value(24, ge=1)
        """Draws of which the most promising one is taken."""

    def make(self, options: Options, space: Space, *, seed: int, number: int) -> optuna.samplers.BaseSampler:
        """The sampler of draw `number`."""
        if seeds.stream(seed, "explore", number).random() < options.random_share:
            return optuna.samplers.RandomSampler(seed=seeds.derive(seed, "sampler", number))
        return optuna.samplers.TPESampler(
            n_startup_trials=options.startup_trials,
            n_ei_candidates=options.candidates,
            seed=seeds.derive(seed, "sampler", number),
            multivariate=True,
            group=space.is_conditional,
            constant_liar=True,
        )


SAMPLER = Tpe()

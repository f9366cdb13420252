"""Asynchronous successive halving: at epochs 1, r, r², … only the best 1/r of those that came so far go on.

Li et al. 2020, "A system for massively parallel hyperparameter tuning" (arXiv:1810.05934).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchlab import options
from searchlab.lazy import lazy
from searchlab.options import value

if TYPE_CHECKING:
    import optuna
else:
    optuna = lazy("optuna")


class SuccessiveHalving:
    """Optuna's, from the first epoch on."""

    class Options(options.Options):
        """Settings of the `successive_halving` pruner."""

        reduction_factor: int = value(4, ge=2)
        """One in so many goes on at each rung, and rungs are so many times as far apart."""
        min_epochs: int = value(1, ge=1)
        """The first rung."""

    def make(self, options: Options, *, epochs: int) -> optuna.pruners.BasePruner:
        """The pruner."""
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=options.min_epochs, reduction_factor=options.reduction_factor
        )


PRUNER = SuccessiveHalving()

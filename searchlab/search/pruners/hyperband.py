"""Successive halving at several paces at once: some trials are judged from epoch 1 on, others get a longer start.

Li et al. 2018, "Hyperband" (arXiv:1603.06560).  Which pace a trial gets depends on its number and the study's name.
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


class Hyperband:
    """Optuna's, from the first epoch on."""

    class Options(options.Options):
        """Settings of the `hyperband` pruner."""

        reduction_factor: int = value(3, ge=2)
        """One in so many goes on at each rung."""
        min_epochs: int = value(1, ge=1)
        """The first rung of the quickest pace."""

    def make(self, options: Options, *, epochs: int) -> optuna.pruners.BasePruner:
        """The pruner."""
        return optuna.pruners.HyperbandPruner(
            min_resource=min(options.min_epochs, epochs),
            max_resource=epochs,
            reduction_factor=options.reduction_factor,
        )


PRUNER = Hyperband()

"""Stops a trial whose best epoch so far is worse than the median of the other trials at the same epoch.

Golovin et al. 2017, "Google Vizier", section 3.2.2.
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


class Median:
    """Optuna's median rule."""

    class Options(options.Options):
        """Settings of the `median` pruner."""

        startup_trials: int = value(5, ge=1)
        """Trials that must be complete before any is stopped."""
        warmup_epochs: int = value(0, ge=0)
        """Epochs that every trial trains."""

    def make(self, options: Options, *, epochs: int) -> optuna.pruners.BasePruner:
        """The pruner."""
        return optuna.pruners.MedianPruner(
            n_startup_trials=options.startup_trials, n_warmup_steps=options.warmup_epochs
        )


PRUNER = Median()

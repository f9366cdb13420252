"""Stops a trial that has not improved for some epochs and is worse than the median of the others besides.

For noisy objectives, where one bad epoch says little.
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


class Patient:
    """Optuna's patience around its median rule."""

    class Options(options.Options):
        """Settings of the `patient` pruner."""

        patience: int = value(2, ge=0)
        """Epochs without improvement that are forgiven."""
        min_delta: float = value(0.0, ge=0.0)
        """What counts as an improvement."""
        startup_trials: int = value(5, ge=1)
        """Trials that must be complete before any is stopped."""

    def make(self, options: Options, *, epochs: int) -> optuna.pruners.BasePruner:
        """The pruner."""
        return optuna.pruners.PatientPruner(
            optuna.pruners.MedianPruner(n_startup_trials=options.startup_trials),
            patience=options.patience,
            min_delta=options.min_delta,
        )


PRUNER = Patient()

"""Never stops a trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchlab import options
from searchlab.lazy import lazy

if TYPE_CHECKING:
    import optuna
else:
    optuna = lazy("optuna")


class Nothing:
    """Every trial trains all its epochs."""

    class Options(options.Options):
        """Nothing to set."""

    def make(self, options: Options, *, epochs: int) -> optuna.pruners.BasePruner:
        """The pruner."""
        return optuna.pruners.NopPruner()


PRUNER = Nothing()

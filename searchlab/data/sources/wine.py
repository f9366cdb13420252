"""178 wines of three growers by 13 chemical measurements (Forina et al. 1988), from scikit-learn."""

from __future__ import annotations

from pathlib import Path

from searchlab import options
from searchlab.data import Collection
from searchlab.data.sources._sklearn import classes


class WineOptions(options.Options):
    """There is nothing to choose."""


class Wine:
    """The source `wine`."""

    Options: type[options.Options] = WineOptions

    def load(self, options: WineOptions, folder: Path) -> Collection:
        """(178, 13) measurements and the grower."""
        return classes("wine", "178 wines, 13 measurements, 3 growers (scikit-learn)")


SOURCE = Wine()

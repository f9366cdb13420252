"""150 irises of three species by four lengths (Fisher 1936), from scikit-learn."""

from __future__ import annotations

from pathlib import Path

from searchlab import options
from searchlab.data import Collection
from searchlab.data.sources._sklearn import classes


class IrisOptions(options.Options):
    """There is nothing to choose."""


class Iris:
    """The source `iris`."""

    Options: type[options.Options] = IrisOptions

    def load(self, options: IrisOptions, folder: Path) -> Collection:
        """(150, 4) lengths in cm and the species."""
        return classes("iris", "150 irises, 4 measurements, 3 species (scikit-learn)")


SOURCE = Iris()

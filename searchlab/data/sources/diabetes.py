"""442 patients and how far their diabetes came in a year (Efron et al. 2004), from scikit-learn."""

from __future__ import annotations

from pathlib import Path

from searchlab import options
from searchlab.data import Collection
from searchlab.data.sources._sklearn import quantities


class DiabetesOptions(options.Options):
    """There is nothing to choose."""


class Diabetes:
    """The source `diabetes`."""

    Options: type[options.Options] = DiabetesOptions

    def load(self, options: DiabetesOptions, folder: Path) -> Collection:
        """(442, 10) measurements, unscaled: scikit-learn would scale by all rows, test rows included."""
        return quantities(
            "diabetes", "442 patients, 10 measurements, progression in a year (scikit-learn)", scaled=False
        )


SOURCE = Diabetes()

"""569 tumours, malignant or benign, by 30 measurements (Wolberg et al. 1995), from scikit-learn."""

from __future__ import annotations

from pathlib import Path

from searchlab import options
from searchlab.data import Collection
from searchlab.data.sources._sklearn import classes


class BreastCancerOptions(options.Options):
    """There is nothing to choose."""


class BreastCancer:
    """The source `breast_cancer`."""

    Options: type[options.Options] = BreastCancerOptions

    def load(self, options: BreastCancerOptions, folder: Path) -> Collection:
        """(569, 30) measurements and the finding."""
        return classes("breast_cancer", "569 tumours, 30 measurements, malignant or benign (scikit-learn)")


SOURCE = BreastCancer()

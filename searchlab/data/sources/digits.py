"""1797 handwritten digits of 8 × 8 pixels (Alpaydin & Kaynak 1998), from scikit-learn: images in a second."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab import options
from searchlab.data import Array, Collection, Examples
from searchlab.lazy import lazy

if TYPE_CHECKING:
    from sklearn import datasets
else:
    datasets = lazy("sklearn.datasets")


class DigitsOptions(options.Options):
    """There is nothing to choose."""


class Digits:
    """The source `digits`."""

    Options: type[options.Options] = DigitsOptions

    def load(self, options: DigitsOptions, folder: Path) -> Collection:
        """(1797, 8, 8, 1) shades from 0 to 16 and the digit, 0 to 9."""
        shades, labels = _read()
        examples = Examples(x=shades.astype(np.float32).reshape(-1, 8, 8, 1), y=labels.astype(np.int64))
        return Collection(examples, "images", "1797 handwritten digits of 8 × 8 pixels (scikit-learn)")

    def shape(self, options: DigitsOptions, folder: Path) -> tuple[int, ...]:
        """See `Sized`."""
        return 8, 8, 1


def _read() -> tuple[Array, Array]:
    """(1797, 64) shades and (1797,) labels, from scikit-learn's own file: to import all of it takes a second."""
    found = importlib.util.find_spec("sklearn")
    file = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz" if found and found.origin else None
    if file is not None and file.is_file():
        rows = np.loadtxt(file, delimiter=",")
        return rows[:, :-1], rows[:, -1]
    bunch: Any = datasets.load_digits()  # a version that keeps it elsewhere
    return bunch.data, bunch.target


SOURCE = Digits()

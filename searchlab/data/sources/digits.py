"""1797 handwritten digits of 8 × 8 pixels (Alpaydin & Kaynak 1998), from scikit-learn: images in a second."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab import options
from searchlab.data import Collection, Examples
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
        bunch: Any = datasets.load_digits()
        examples = Examples(
            x=np.asarray(bunch.images, dtype=np.float32)[..., None], y=np.asarray(bunch.target, dtype=np.int64)
        )
        return Collection(examples, "images", "1797 handwritten digits of 8 × 8 pixels (scikit-learn)")


SOURCE = Digits()

"""Round clouds of points, one for each class: a set whose best possible score is easy to reckon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Collection, Examples
from searchlab.seeds import stream


class BlobsOptions(options.Options):
    """Settings of the source `blobs`."""

    n: int = pydantic.Field(600, ge=1)
    """Examples."""
    features: int = pydantic.Field(2, ge=1)
    """Columns."""
    classes: int = pydantic.Field(3, ge=1)
    """Clouds, equally large."""
    spread: float = pydantic.Field(1.0, gt=0.0)
    """Standard deviation of a cloud; the centres are drawn with one of 3."""
    seed: int = pydantic.Field(0, ge=0)
    """Another seed, other centres and points."""


class Blobs:
    """The source `blobs`."""

    Options: type[options.Options] = BlobsOptions

    def load(self, options: BlobsOptions, folder: Path) -> Collection:
        """(n, features) points and the cloud of each, 0 … classes - 1 in turn."""
        centres = stream(options.seed, "blobs", "centres").normal(scale=3.0, size=(options.classes, options.features))
        y = np.arange(options.n) % options.classes
        x = centres[y] + stream(options.seed, "blobs", "x").normal(
            scale=options.spread, size=(options.n, options.features)
        )
        description = f"{options.n} points in {options.classes} clouds"
        return Collection(Examples(x=x, y=y), "table", description, columns=tuple(f"x{k}" for k in range(x.shape[1])))


SOURCE = Blobs()

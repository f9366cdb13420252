"""Labels that have nothing to do with the inputs: whatever a study finds here above chance is luck or a leak."""

from __future__ import annotations

from pathlib import Path

import pydantic

from searchlab import options
from searchlab.data import Collection, Examples
from searchlab.seeds import stream


class NoiseOptions(options.Options):
    """Settings of the source `noise`."""

    n: int = pydantic.Field(1000, ge=1)
    """Examples."""
    features: int = pydantic.Field(8, ge=1)
    """Columns of independent standard normal numbers."""
    classes: int = pydantic.Field(2, ge=1)
    """Labels, equally likely."""
    seed: int = pydantic.Field(0, ge=0)
    """Another seed, other numbers."""


class Noise:
    """The source `noise`."""

    Options: type[options.Options] = NoiseOptions

    def load(self, options: NoiseOptions, folder: Path) -> Collection:
        """(n, features) normal numbers and labels 0 … classes - 1, drawn apart."""
        x = stream(options.seed, "noise", "x").normal(size=(options.n, options.features))
        y = stream(options.seed, "noise", "y").integers(options.classes, size=options.n)
        description = f"{options.n} rows of noise with {options.classes} unrelated labels"
        return Collection(Examples(x=x, y=y), "table", description, columns=tuple(f"x{k}" for k in range(x.shape[1])))


SOURCE = Noise()

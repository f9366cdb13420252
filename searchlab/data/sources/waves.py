"""Two sine waves and noise: a series to foretell whose best possible error is the noise itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Collection
from searchlab.data.sources._windows import WindowOptions, windows
from searchlab.seeds import stream


class WavesOptions(WindowOptions):
    """Settings of the source `waves`."""

    length: int = pydantic.Field(600, ge=2)
    """Moments of the whole series."""
    noise: float = pydantic.Field(0.1, ge=0.0)
    """Standard deviation of what cannot be foretold."""
    seed: int = pydantic.Field(0, ge=0)
    """Another seed, another noise."""


class Waves:
    """The source `waves`."""

    Options: type[options.Options] = WavesOptions

    def load(self, options: WavesOptions, folder: Path) -> Collection:
        """(n, window, 1) values and the next `horizon` ones."""
        time = np.arange(options.length)
        clean = np.sin(2 * np.pi * time / 24) + 0.5 * np.sin(2 * np.pi * time / 7)
        series = clean + stream(options.seed, "waves").normal(scale=options.noise, size=options.length)
        examples = windows(
            series[:, None], series, window=options.window, horizon=options.horizon, stride=options.stride
        )
        return Collection(examples, "series", f"{options.length} moments of two waves and noise", columns=("wave",))


SOURCE = Waves()

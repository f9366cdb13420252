"""Sunspots in each year from 1700 to 2008 (SILSO), from statsmodels: foretell the next years."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Collection
from searchlab.data.sources import _statsmodels
from searchlab.data.sources._windows import WindowOptions, windows


class SunspotsOptions(WindowOptions):
    """Settings of the source `sunspots`; a moment is a year."""

    window: int = pydantic.Field(22, ge=1)
    """Years that a model sees; a solar cycle lasts about 11."""


class Sunspots:
    """The source `sunspots`."""

    Options: type[options.Options] = SunspotsOptions

    def load(self, options: SunspotsOptions, folder: Path) -> Collection:
        """(n, window, 1) counts and those of the next `horizon` years."""
        counts = np.asarray(_statsmodels.load("sunspots")["SUNACTIVITY"], dtype=np.float64)
        examples = windows(
            counts[:, None], counts, window=options.window, horizon=options.horizon, stride=options.stride
        )
        description = f"yearly sunspots 1700-2008 in windows of {options.window} (statsmodels)"
        return Collection(examples, "series", description, columns=("sunspots",))


SOURCE = Sunspots()

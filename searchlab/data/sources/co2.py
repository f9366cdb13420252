"""Weekly CO₂ in the air over Mauna Loa, 1958 to 2001 (Keeling & Whorf 2004), from statsmodels: foretell the next weeks.

59 weeks were not measured.  In a window they hold the last value before them, never one from after; windows that
would have to foretell an unmeasured week are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Collection
from searchlab.data.sources import _statsmodels
from searchlab.data.sources._windows import WindowOptions, windows


class Co2Options(WindowOptions):
    """Settings of the source `co2`; a moment is a week."""

    window: int = pydantic.Field(52, ge=1)
    """Weeks that a model sees."""


class Co2:
    """The source `co2`."""

    Options: type[options.Options] = Co2Options

    def load(self, options: Co2Options, folder: Path) -> Collection:
        """(n, window, 1) parts per million and those of the next `horizon` weeks."""
        measured: Any = _statsmodels.load("co2")["co2"]
        known = np.asarray(measured.ffill(), dtype=np.float64)
        examples = windows(
            known[:, None],
            np.asarray(measured, dtype=np.float64),
            window=options.window,
            horizon=options.horizon,
            stride=options.stride,
        )
        examples = examples.take(np.flatnonzero(np.isfinite(examples.y.reshape(len(examples), -1)).all(axis=1)))
        description = f"weekly CO₂ over Mauna Loa 1958-2001 in windows of {options.window} (statsmodels)"
        return Collection(examples, "series", description, columns=("co2",))


SOURCE = Co2()

"""Windows of a series and the values that follow: shared by all sources of series."""

from __future__ import annotations

import numpy as np
import pydantic

from searchlab.data import Array, Examples
from searchlab.errors import DataError
from searchlab.options import Options


class WindowOptions(Options):
    """How a series is cut in examples."""

    window: int = pydantic.Field(24, ge=1)
    """Moments that a model sees."""
    horizon: int = pydantic.Field(1, ge=1)
    """Moments after the window that it must foretell."""
    stride: int = pydantic.Field(1, ge=1)
    """Moments from the start of one window to the start of the next."""


def windows(
    values: Array, target: Array, *, window: int, horizon: int, stride: int, moments: Array | None = None
) -> Examples:
    """Windows of `values` (time, features) and what `target` (time,) does next.

    `x` is (n, window, features); `y` is (n,) for a horizon of 1, else (n, horizon).  `moments` (time,), ascending whole
    numbers, are what spans are counted in; the row numbers where absent.

    Raises:
        DataError: The series is shorter than one window and its horizon.
    """
    starts = np.arange(0, len(values) - window - horizon + 1, stride)
    if not len(starts):
        raise DataError(
            f"a window of {window} and a horizon of {horizon} need {window + horizon} moments in a row, "
            f"but the series has {len(values)}. Use a shorter window."
        )
    moments = np.arange(len(values)) if moments is None else moments
    x = np.lib.stride_tricks.sliding_window_view(values, window, axis=0)[starts].transpose(0, 2, 1)
    y = np.lib.stride_tricks.sliding_window_view(target, horizon)[starts + window]
    span = np.stack([moments[starts], moments[starts + window + horizon - 1]], axis=1)
    return Examples(x=np.ascontiguousarray(x), y=y[:, 0].copy() if horizon == 1 else y.copy(), span=span)


def join(pieces: list[Examples]) -> Examples:
    """The examples of several series, one after another."""
    return Examples(
        x=np.concatenate([piece.x for piece in pieces]),
        y=np.concatenate([piece.y for piece in pieces]),
        span=np.concatenate([piece.span for piece in pieces if piece.span is not None]),
    )

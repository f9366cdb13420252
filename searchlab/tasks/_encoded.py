"""Encoded inputs: an array; where that would be too large, rows that are encoded each time they are asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from searchlab.data import Array
from searchlab.data.rows import Rows, as_array, unmapped

IN_MEMORY = 1 << 30
"""Bytes of float32 that are encoded once and kept."""


def encoded(x: Array, shape: tuple[int, ...], encode: Callable[[Array], Array]) -> Array:
    """(n, *shape) float32: what `encode`, which sees each example for itself, makes of `x`."""
    count = len(x)
    if 4 * count * int(np.prod(shape, dtype=np.int64)) <= IN_MEMORY:
        return encode(x[:]).reshape(count, *shape)
    raw = unmapped(x)
    return as_array(Rows((count, *shape), np.float32, lambda key: encode(raw[key]).reshape(-1, *shape)))

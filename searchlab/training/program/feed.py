"""How examples reach a compiled program: whole on its device where they fit, else in pieces."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from searchlab.data import Array
from searchlab.data.rows import is_in_memory
from searchlab.tasks import Arrays

RESIDENT = 2 << 30
"""Bytes of training examples that are kept on the device whole; more are sent in pieces."""

PIECE = 256 << 20
"""Bytes of such a piece, about."""

OUTPUTS = 1 << 22
"""Numbers of output that are held between two looks at the metrics, at most."""

VALIDATION_BATCH = 256
"""Examples in each validation batch, at least, where they are small; metrics do not depend on it."""

VALIDATION_BYTES = 16 << 20
"""Bytes of such a batch, at most: the first layer's outputs are many times as much."""


class Feed:
    """The examples of one part of the data; `put` brings an array to the device."""

    def __init__(self, arrays: Arrays, put: Callable[[Array], Any]) -> None:
        self._arrays = arrays
        self._put = put
        self._row = max(1, arrays.x.nbytes // max(1, len(arrays)))
        self.is_resident = is_in_memory(arrays.x) and arrays.x.nbytes <= RESIDENT
        self._whole = (put(arrays.x), put(arrays.y)) if self.is_resident else None

    def __len__(self) -> int:
        return len(self._arrays)

    def piece(self, batch: int, numbers: int) -> int:
        """Examples to take at a time, if each has so many `numbers` of output: whole batches."""
        most = OUTPUTS // numbers if self.is_resident else min(OUTPUTS // numbers, PIECE // self._row)
        return max(1, most // batch) * batch

    def rows(self, rows: Array) -> tuple[Any, Any, Array]:
        """Arrays on the device, and the places of `rows`, (n,) or (lanes, n), in them.

        Examples that are sent come in the form of `rows`: each lane has its own.
        """
        if self._whole is not None:
            return *self._whole, rows.astype(np.int32)
        places = np.broadcast_to(np.arange(rows.shape[-1], dtype=np.int32), rows.shape)
        return self._put(self._arrays.x[rows]), self._put(self._arrays.y[rows]), places


def validation_batch(shape: tuple[int, ...], batch_size: int) -> int:
    """How many examples of `shape` are judged at a time by a trial that trains on `batch_size` at a time."""
    return max(batch_size, min(VALIDATION_BATCH, VALIDATION_BYTES // (4 * math.prod(shape))))

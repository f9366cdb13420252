"""Rows that are made when they are asked for: what stands in for an array that is too large for memory.

Why not a map of the file: each page that was looked at counts as memory of the process for as long as the system likes,
and a training process that grows by 1.5 GiB is replaced.  A read copies into an array that is gone after its batch.
`Rows` are sliced like an array, so code that works in `pieces` takes either; NumPy's own functions read them whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from searchlab.data import Array

PIECE = 32 << 20
"""Bytes that are worked on at a time, about."""

LARGE = 256 << 20
"""Bytes from which on an array is read in pieces and not kept in memory."""


class Rows:
    """`shape[0]` rows; `take` makes those in a slice (of step 1) or at an array (n,) of places from 0."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, take: Callable[[slice | Array], Array]) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.ndim = len(shape)
        self.size = int(np.prod(shape, dtype=np.int64))
        self.nbytes = self.size * self.dtype.itemsize
        self._take = take

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | int | Array) -> Array:
        """The rows at `key`: a slice, a number, or an array of numbers of any shape."""
        if isinstance(key, slice):
            begin, end, step = key.indices(len(self))
            return self._take(slice(begin, max(begin, end))) if step == 1 else self[np.arange(begin, end, step)]
        places = np.asarray(key)
        if places.size and not (-len(self) <= places.min() and places.max() < len(self)):
            raise IndexError(f"there are {len(self)} rows, and {key} asks for others")
        found = self._take(places.reshape(-1).astype(np.int64) % max(1, len(self)))
        return found.reshape(*places.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self[:].astype(dtype or self.dtype, copy=False)


def as_array(rows: Rows) -> Array:
    """These rows, to whoever slices them and does not ask what they are."""
    return cast(Array, rows)


def kept(rows: Rows) -> Array:
    """All of `rows` in memory, if they are not `LARGE`."""
    return rows[:] if rows.nbytes < LARGE else as_array(rows)


def stored(file: BinaryIO, shape: tuple[int, ...], dtype: Any, *, offset: int = 0) -> Rows:
    """The array in `file` from the byte `offset` on, in C order.  The file stays open as long as the rows are used."""
    width = int(np.prod(shape[1:], dtype=np.int64)) * np.dtype(dtype).itemsize

    def fill(rows: Array, begin: int) -> None:
        into, place = rows.reshape(-1).view(np.uint8).data, offset + begin * width
        while len(into):
            count = os.preadv(file.fileno(), [into], place)
            if count == 0:
                raise EOFError("the file of the rows was cut off")
            into, place = into[count:], place + count

    def take(key: slice | Array) -> Array:
        if isinstance(key, slice):
            found = np.empty((key.stop - key.start, *shape[1:]), dtype)
            fill(found, key.start)
            return found
        found = np.empty((len(key), *shape[1:]), dtype)
        for number, place in enumerate(key.tolist()):
            fill(found[number : number + 1], place)
        return found

    return Rows(shape, dtype, take)


def selection(array: Array, places: Array) -> Array:
    """The rows of `array` at `places`; where they are `LARGE` not before they are asked for."""
    return kept(Rows((len(places), *array.shape[1:]), array.dtype, lambda key: array[places[key]]))


def unmapped(array: Array) -> Array:
    """`array`; but if it is the map of a `LARGE` file its rows, read."""
    if not isinstance(array, np.memmap) or isinstance(array.base, np.ndarray) or array.nbytes < LARGE:
        return array  # the view of a map has the map as its base, and starts who knows where
    assert array.filename is not None and array.flags.c_contiguous
    file = Path(array.filename).open("rb")
    return as_array(stored(file, array.shape, array.dtype, offset=int(array.offset)))


def is_in_memory(array: Array) -> bool:
    """Whether `array` is one, and not `Rows`."""
    return isinstance(array, np.ndarray)


def pieces(array: Array) -> Iterator[Array]:
    """`array` in slices of about `PIECE` bytes, at least a row each."""
    rows = max(1, PIECE // max(1, array.nbytes // max(1, len(array))))
    return (array[begin : begin + rows] for begin in range(0, len(array), rows))

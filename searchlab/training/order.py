"""In which order examples are seen: the same in every engine, in training known from the epoch and the seed alone."""

from __future__ import annotations

from typing import Any

import keras

from searchlab.data import Array
from searchlab.seeds import stream
from searchlab.tasks import Arrays
from searchlab.training.mixing import Mixing


def order(seed: int, epoch: int, count: int) -> Array:
    """(count,) the examples of `epoch` (from 1) of the trial with `seed`, in the order of their batches."""
    return stream(seed, "order", epoch).permutation(count)


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """The training examples in the order of the epoch that `begin` was last told; the last batch holds what is left.

    Why not `on_epoch_begin` and `on_epoch_end`, which Keras calls: the one comes after the thread that fetches batches
    was started, the other once more than there are epochs.
    """

    def __init__(self, examples: Arrays, *, seed: int, batch_size: int, mixing: Mixing | None = None) -> None:
        super().__init__()
        self._examples = examples
        self._seed = seed
        self._batch_size = batch_size
        self._mixing = mixing
        self.begin(1)

    def begin(self, epoch: int) -> None:
        """Put the examples in the order of `epoch` (from 1)."""
        self._epoch, self._order = epoch, order(self._seed, epoch, len(self._examples))

    def __len__(self) -> int:
        return -(-len(self._examples) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        x, y = self._examples.x[rows], self._examples.y[rows]
        return (x, y) if self._mixing is None else self._mixing.mixed(x, y, epoch=self._epoch, batch=index)


class InOrder(keras.utils.PyDataset):  # type: ignore[misc]
    """Examples as they stand, in batches: for what is not all in memory, of which Keras would make an array."""

    def __init__(self, x: Array, y: Array | None = None, *, batch_size: int) -> None:
        super().__init__()
        self._arrays = (x,) if y is None else (x, y)
        self._batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self._arrays[0]) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(array[index * self._batch_size : (index + 1) * self._batch_size] for array in self._arrays)

"""Numbers brought to mean 0 and standard deviation 1, as the training examples have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from searchlab.data import Array

ROWS_AT_ONCE = 4096
"""Rows summed together in float64, so that no double-width copy of a whole data set is made."""

WIDE = 1 << 13
"""Numbers in a row from which on fewer rows are summed together."""

NUMBERS_AT_ONCE = 1 << 22
"""Numbers of such rows."""

FEW = 4
"""Entries whose 256 values, where they are bytes, are scaled once and looked up: the same numbers in half the time."""


@dataclass(frozen=True)
class Scaling:
    """A mean and a standard deviation for each entry of the last axis; a constant entry has the deviation 1."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def fit(cls, values: Array) -> Scaling:
        """The scaling of finite `values` (n, …, entries) over all axes but the last."""
        axes = tuple(range(values.ndim - 1))
        count = int(np.prod(values.shape[:-1]))
        mean = np.sum([part.sum(axis=axes, dtype=np.float64) for part in _parts(values)], axis=0) / count
        squares = [np.square(part.astype(np.float64) - mean).sum(axis=axes) for part in _parts(values)]
        deviation = np.sqrt(np.sum(squares, axis=0) / count)
        is_constant = deviation <= 1e-7 * np.abs(mean)  # what rounding leaves of a constant
        deviation = np.where(is_constant | (deviation == 0.0), 1.0, deviation)
        return cls(tuple(mean.tolist()), tuple(deviation.tolist()))

    def apply(self, values: Array) -> Array:
        """Float32 `values` without their mean, in units of their deviation."""
        scaled: Array = np.empty(values.shape, np.float32)
        mean, deviation = np.asarray(self.mean), np.asarray(self.deviation)
        if values.dtype == np.uint8 and len(mean) <= FEW:
            table = ((np.arange(256, dtype=np.float64)[:, None] - mean) / deviation).astype(np.float32)
            for entry in range(len(mean)):
                scaled[..., entry] = table[:, entry][values[..., entry]]
            return scaled
        begin = 0
        for part in _parts(values):
            scaled[begin : begin + len(part)] = (part.astype(np.float64) - mean) / deviation
            begin += len(part)
        return scaled

    def undo(self, scaled: Array) -> Array:
        """Float64 values from scaled ones."""
        return np.asarray(scaled.astype(np.float64) * np.asarray(self.deviation) + np.asarray(self.mean))

    def repeated(self, times: int) -> Scaling:
        """The same scaling for `times` as many entries."""
        return Scaling(self.mean * times, self.deviation * times)

    @property
    def factor_and_offset(self) -> tuple[list[float], list[float]]:
        """`apply` as a factor and an offset, which is how Keras's `Rescaling` puts it."""
        pairs = zip(self.mean, self.deviation, strict=True)
        return [1.0 / deviation for deviation in self.deviation], [-mean / deviation for mean, deviation in pairs]

    def to_json(self) -> dict[str, list[float]]:
        """JSON values for `from_json`."""
        return {"mean": list(self.mean), "deviation": list(self.deviation)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Scaling:
        """The scaling whose `to_json` gave `content`."""
        return cls(tuple(content["mean"]), tuple(content["deviation"]))


def _parts(values: Array) -> Iterator[Array]:
    """`values` in slices of rows."""
    width = max(1, values.size // max(1, len(values)))
    rows = ROWS_AT_ONCE if width <= WIDE else max(1, NUMBERS_AT_ONCE // width)
    return (values[begin : begin + rows] for begin in range(0, len(values), rows))

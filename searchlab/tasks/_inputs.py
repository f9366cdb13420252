"""How the inputs of each kind of collection become arrays: fitted on training examples, then applied to any.

_pictures.Pictures   images standardized for each channel        -> image     (height, width, channels)
_pictures.Rows       the same, read row by row                   -> sequence  (height, width * channels)
_series.Series       windows standardized for each feature       -> sequence  (time, features)
_tokens.Tokens       tokens numbered anew                        -> tokens    (time,)
_table.Table         filled, standardized, words as one-hot      -> vector    (columns,)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from searchlab.data import Array, Collection, Examples
from searchlab.data.rows import pieces, unmapped
from searchlab.errors import DataError
from searchlab.tasks import Pixels

if TYPE_CHECKING:
    import keras


class Inputs(Protocol):
    """What was fitted on the inputs of the training examples; frozen."""

    @property
    def kind(self) -> str:
        """The kind of `Problem`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one encoded example."""

    @property
    def vocabulary_size(self) -> int | None:
        """For tokens, one more than the largest."""

    @property
    def pixels(self) -> Pixels | None:
        """For images, what raw ones are like."""

    def encode(self, examples: Examples) -> Array:
        """The arrays a model takes.

        Raises:
            DataError: Examples of another shape, or numbers that are none.
        """

    def front(self) -> list[keras.layers.Layer]:
        """Keras's own layers that do the same to raw inputs; see `Encoding.front`."""

    def to_json(self) -> dict[str, Any]:
        """JSON values for the class's `from_json`."""


class InputsClass(Protocol):
    """A class of `Inputs`, as the tasks name them."""

    def fit(self, collection: Collection, train: Examples) -> Inputs:
        """Look at the training inputs."""

    def from_json(self, content: Mapping[str, Any]) -> Inputs:
        """The inputs whose `to_json` gave `content`."""


def numbers(x: Array, noun: str, expected: str, *, dimensions: int) -> Array:
    """Training inputs `x` that have been checked; `noun` and `expected` are for the message."""
    if len(x) == 0:
        raise DataError(f"there are no {noun} in the training part.")
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool):
        raise DataError(f"{noun} must be numbers, and these are of type {x.dtype}.")
    if x.ndim != dimensions or 0 in x.shape:
        raise DataError(f"{noun} must have the shape {expected}, and these have {x.shape}.")
    return _finite(x, noun)


def like(x: Array, shape: tuple[int, ...], noun: str) -> Array:
    """Inputs `x` of the shape that training had, checked."""
    if x.shape[1:] != shape:
        raise DataError(f"the {noun} must have the shape {shape}, as in training, and these have {x.shape[1:]}.")
    return _finite(x, noun)


def _finite(x: Array, noun: str) -> Array:
    if np.issubdtype(x.dtype, np.inexact) and len(x):
        is_finite = [np.isfinite(piece).reshape(len(piece), -1).all(axis=1) for piece in pieces(unmapped(x))]
        bad = np.flatnonzero(~np.concatenate(is_finite))
        if len(bad):
            raise DataError(
                f"{len(bad)} of {len(x)} {noun} hold NaN or infinite numbers, example {bad[0]} first; "
                "fill or drop them before the study."
            )
    return x

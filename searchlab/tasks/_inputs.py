"""How the inputs of each kind of collection become arrays: fitted on training examples, then applied to any.

images   standardized for each channel                       -> image     (height, width, channels)
rows     images read row by row, each row a moment           -> sequence  (height, width * channels)
series   standardized for each feature                       -> sequence  (time, features)
tokens   numbered anew, see `searchlab.tasks._tokens`        -> tokens    (time,)
table    filled, standardized, one-hot, see `_table`         -> vector    (columns,)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from searchlab.data import Array, Collection, Examples
from searchlab.errors import DataError
from searchlab.lazy import lazy
from searchlab.tasks._scaling import Scaling

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")


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

    def encode(self, examples: Examples) -> Array:
        """The arrays a model takes.

        Raises:
            DataError: Examples of another shape, or numbers that are none.
        """

    def front(self) -> list[keras.layers.Layer]:
        """Keras's own layers that do the same to raw inputs."""

    def to_json(self) -> dict[str, Any]:
        """JSON values for the class's `from_json`."""


class InputsClass(Protocol):
    """A class of `Inputs`, as the tasks name them."""

    def fit(self, collection: Collection, train: Examples) -> Inputs:
        """Look at the training inputs."""

    def from_json(self, content: Mapping[str, Any]) -> Inputs:
        """The inputs whose `to_json` gave `content`."""


@dataclass(frozen=True)
class Pictures:
    """Images, standardized for each channel."""

    shape: tuple[int, ...]
    scaling: Scaling
    kind: str = "image"
    vocabulary_size: int | None = None

    @classmethod
    def fit(cls, collection: Collection, train: Examples) -> Pictures:
        """Mean and deviation of each channel of the training images."""
        x = _numbers(train.x, "images", "(n, height, width, channels)", dimensions=4)
        return cls(x.shape[1:], Scaling.fit(x))

    def encode(self, examples: Examples) -> Array:
        """(n, height, width, channels) float32."""
        return self.scaling.apply(_like(examples.x, self.shape, "images"))

    def front(self) -> list[keras.layers.Layer]:
        """One `Rescaling`."""
        return [keras.layers.Rescaling(*self.scaling.factor_and_offset, name="standardize")]

    def to_json(self) -> dict[str, Any]:
        """Shape and scaling."""
        return {"shape": list(self.shape), "scaling": self.scaling.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Pictures:
        """From `to_json`."""
        return cls(tuple(content["shape"]), Scaling.from_json(content["scaling"]))


@dataclass(frozen=True)
class Rows:
    """Images as sequences: time runs from the top row to the bottom."""

    pictures: Pictures
    kind: str = "sequence"
    vocabulary_size: int | None = None

    @classmethod
    def fit(cls, collection: Collection, train: Examples) -> Rows:
        """As for images."""
        return cls(Pictures.fit(collection, train))

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width * channels)."""
        height, width, channels = self.pictures.shape
        return (height, width * channels)

    def encode(self, examples: Examples) -> Array:
        """(n, height, width * channels) float32."""
        return self.pictures.encode(examples).reshape(len(examples), *self.shape)

    def front(self) -> list[keras.layers.Layer]:
        """`Rescaling`, then `Reshape`."""
        return [*self.pictures.front(), keras.layers.Reshape(self.shape, name="rows")]

    def to_json(self) -> dict[str, Any]:
        """As for images."""
        return self.pictures.to_json()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Rows:
        """From `to_json`."""
        return cls(Pictures.from_json(content))


@dataclass(frozen=True)
class Series:
    """Windows of measured series, standardized for each feature."""

    shape: tuple[int, ...]
    scaling: Scaling
    kind: str = "sequence"
    vocabulary_size: int | None = None

    @classmethod
    def fit(cls, collection: Collection, train: Examples) -> Series:
        """Mean and deviation of each feature over all moments of the training windows."""
        x = _numbers(train.x, "series", "(n, time, features)", dimensions=3)
        return cls(x.shape[1:], Scaling.fit(x))

    def encode(self, examples: Examples) -> Array:
        """(n, time, features) float32."""
        return self.scaling.apply(_like(examples.x, self.shape, "series"))

    def front(self) -> list[keras.layers.Layer]:
        """One `Rescaling`."""
        return [keras.layers.Rescaling(*self.scaling.factor_and_offset, name="standardize")]

    def to_json(self) -> dict[str, Any]:
        """Shape and scaling."""
        return {"shape": list(self.shape), "scaling": self.scaling.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Series:
        """From `to_json`."""
        return cls(tuple(content["shape"]), Scaling.from_json(content["scaling"]))


def _numbers(x: Array, noun: str, expected: str, *, dimensions: int) -> Array:
    if len(x) == 0:
        raise DataError(f"there are no {noun} in the training part.")
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool):
        raise DataError(f"{noun} must be numbers, and these are of type {x.dtype}.")
    if x.ndim != dimensions or 0 in x.shape:
        raise DataError(f"{noun} must have the shape {expected}, and these have {x.shape}.")
    return _finite(x, noun)


def _like(x: Array, shape: tuple[int, ...], noun: str) -> Array:
    if x.shape[1:] != shape:
        raise DataError(f"the {noun} must have the shape {shape}, as in training, and these have {x.shape[1:]}.")
    return _finite(x, noun)


def _finite(x: Array, noun: str) -> Array:
    if np.issubdtype(x.dtype, np.inexact):
        bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
        if len(bad):
            raise DataError(
                f"{len(bad)} of {len(x)} {noun} hold NaN or infinite numbers, example {bad[0]} first; "
                "fill or drop them before the study."
            )
    return x

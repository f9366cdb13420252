"""Images, as images or as sequences of their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab.data import Array, Collection, Examples
from searchlab.data.rows import unmapped
from searchlab.lazy import lazy
from searchlab.tasks import Pixels
from searchlab.tasks._encoded import encoded
from searchlab.tasks._inputs import like, numbers
from searchlab.tasks._scaling import Scaling

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

BYTES = (0.0, 255.0)


@dataclass(frozen=True)
class Pictures:
    """Images, standardized for each channel."""

    shape: tuple[int, ...]
    scaling: Scaling
    low: float = 0.0
    high: float = 255.0
    """The range of raw images: of bytes all there are, else that of the training images."""
    kind: str = "image"
    vocabulary_size: int | None = None

    @classmethod
    def fit(cls, collection: Collection, train: Examples) -> Pictures:
        """Mean and deviation of each channel of the training images, and their range."""
        x = numbers(train.x, "images", "(n, height, width, channels)", dimensions=4)
        span = BYTES if x.dtype == np.uint8 else (float(x.min()), float(x.max()))
        return cls(x.shape[1:], Scaling.fit(unmapped(x)), *span)

    @property
    def pixels(self) -> Pixels | None:
        """What raw images are like."""
        return Pixels(self.scaling.mean, self.scaling.deviation, self.low, self.high)

    def encode(self, examples: Examples) -> Array:
        """(n, height, width, channels) float32."""
        return self.encoded(examples, self.shape)

    def encoded(self, examples: Examples, shape: tuple[int, ...]) -> Array:
        """(n, *shape) float32."""
        return encoded(like(examples.x, self.shape, "images"), shape, self.scaling.apply)

    def front(self) -> list[keras.layers.Layer]:
        """One `Rescaling`."""
        return [keras.layers.Rescaling(*self.scaling.factor_and_offset, name="standardize")]

    def to_json(self) -> dict[str, Any]:
        """Shape, scaling and range."""
        return {"shape": list(self.shape), "scaling": self.scaling.to_json(), "range": [self.low, self.high]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Pictures:
        """From `to_json`."""
        return cls(tuple(content["shape"]), Scaling.from_json(content["scaling"]), *content.get("range", ()))


@dataclass(frozen=True)
class Rows:
    """Images as sequences: time runs from the top row to the bottom."""

    pictures: Pictures
    kind: str = "sequence"
    vocabulary_size: int | None = None
    pixels: None = None

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
        return self.pictures.encoded(examples, self.shape)

    def front(self) -> list[keras.layers.Layer]:
        """One model, which knows the shape of raw images: `Rescaling`, then `Reshape`."""
        raw = keras.Input(self.pictures.shape, name="raw_images")
        (standardize,) = self.pictures.front()
        return [
            keras.Model(raw, keras.layers.Reshape(self.shape, name="rows")(standardize(raw)), name="images_to_rows")
        ]

    def to_json(self) -> dict[str, Any]:
        """As for images."""
        return self.pictures.to_json()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Rows:
        """From `to_json`."""
        return cls(Pictures.from_json(content))

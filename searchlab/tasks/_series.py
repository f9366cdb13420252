"""Windows of measured series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from searchlab.data import Array, Collection, Examples
from searchlab.lazy import lazy
from searchlab.tasks._inputs import like, numbers
from searchlab.tasks._scaling import Scaling

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")


@dataclass(frozen=True)
class Series:
    """Windows of measured series, standardized for each feature."""

    shape: tuple[int, ...]
    scaling: Scaling
    kind: str = "sequence"
    vocabulary_size: int | None = None
    pixels: None = None

    @classmethod
    def fit(cls, collection: Collection, train: Examples) -> Series:
        """Mean and deviation of each feature over all moments of the training windows."""
        x = numbers(train.x, "series", "(n, time, features)", dimensions=3)
        return cls(x.shape[1:], Scaling.fit(x))

    def encode(self, examples: Examples) -> Array:
        """(n, time, features) float32."""
        return self.scaling.apply(like(examples.x, self.shape, "series"))

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

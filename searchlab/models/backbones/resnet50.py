"""ResNet-50 (He et al. 2016, arXiv:1512.03385): 24 million weights, the one that papers compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from searchlab.lazy import lazy
from searchlab.models.backbones import Backbone
from searchlab.models.backbones._application import Application

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

MEANS = (103.939, 116.779, 123.68)
"""Of ImageNet's blue, green and red."""


def _preprocess() -> Sequence[Any]:
    """Red, green, blue to blue, green, red less their means, as the weights were trained (by Caffe)."""
    return (_reversed, keras.layers.Rescaling(1.0, offset=[-mean for mean in MEANS], name="preprocess"))


def _reversed(pixels: Any) -> Any:
    return keras.ops.flip(pixels, axis=-1)


BACKBONE: Backbone = Application("ResNet50", r"(conv\d+_block\d+)_", _preprocess)

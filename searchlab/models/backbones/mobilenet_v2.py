"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381): 2.3 million weights, the cheapest that is still good."""

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


def _preprocess() -> Sequence[Any]:
    """0…255 to -1…1."""
    return (keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess"),)


BACKBONE: Backbone = Application("MobileNetV2", r"(block_\d+|expanded_conv)_", _preprocess)

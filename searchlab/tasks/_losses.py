"""Losses and metrics that Keras lacks; reading this file loads Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops


@keras.saving.register_keras_serializable("searchlab")
class SmoothedCrossentropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of whole-number labels (b,) and logits (b, k), with label smoothing (arXiv:1512.00567).

    The target of the right class is 1 - s + s / k, that of every other s / k.
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "crossentropy", **settings: Any) -> None:
        super().__init__(name=name, **settings)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(b,) losses."""
        labels = ops.cast(ops.reshape(y_true, ops.shape(y_pred)[:-1]), "int32")
        right = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        spread = -ops.mean(ops.log_softmax(y_pred, axis=-1), axis=-1)
        return (1.0 - self.label_smoothing) * right + self.label_smoothing * spread

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to save it."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("searchlab")
class UnscaledError(keras.metrics.Mean):  # type: ignore[misc]
    """Mean absolute or root mean squared error in the units of the target; y (b, units) and outputs are scaled."""

    def __init__(self, error: Literal["absolute", "squared"], scale: Sequence[float], **settings: Any) -> None:
        super().__init__(**settings)
        self.error = error
        self.scale = tuple(scale)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        y_pred = ops.convert_to_tensor(y_pred, self.dtype)
        y_true = ops.reshape(ops.convert_to_tensor(y_true, self.dtype), ops.shape(y_pred))
        difference = (y_true - y_pred) * ops.convert_to_tensor(self.scale, self.dtype)
        each = ops.abs(difference) if self.error == "absolute" else ops.square(difference)
        super().update_state(ops.mean(each, axis=-1), sample_weight)

    def result(self) -> Any:
        """The error so far."""
        mean = super().result()
        return ops.sqrt(mean) if self.error == "squared" else mean

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to save it."""
        return {**super().get_config(), "error": self.error, "scale": list(self.scale)}

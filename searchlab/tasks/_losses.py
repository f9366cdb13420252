"""Losses and metrics that Keras lacks; reading this file loads Keras.

Targets of classification are class numbers (b,), or (b, 3) for mixed examples: two class numbers, the first's share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

PACKED = 3
"""Numbers in the target of a mixed example."""

CERTAIN = 1e-7
"""The least doubt that focal loss counts with: the power of none has no slope."""


@keras.saving.register_keras_serializable("searchlab")
class SmoothedCrossentropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of class numbers and logits (b, k), with label smoothing (arXiv:1512.00567), focus and weights.

    The target of the right class is 1 - s + s / k, that of every other s / k.  With `focal_gamma` g, an example counts
    (1 - p)^g, p being the probability of its class (arXiv:1708.02002); with `class_weights` (k,), that of its class.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        class_weights: Sequence[float] | None = None,
        name: str = "crossentropy",
        **settings: Any,
    ) -> None:
        super().__init__(name=name, **settings)
        self.label_smoothing = label_smoothing
        self.focal_gamma = focal_gamma
        self.class_weights = None if class_weights is None else tuple(class_weights)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(b,) losses."""
        if not _is_mixed(y_true):
            return self._of(y_true, y_pred)
        share = ops.cast(y_true[:, 2], y_pred.dtype)
        return share * self._of(y_true[:, 0], y_pred) + (1.0 - share) * self._of(y_true[:, 1], y_pred)

    def _of(self, labels: Any, y_pred: Any) -> Any:
        labels = ops.cast(ops.reshape(labels, ops.shape(y_pred)[:-1]), "int32")
        right = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        spread = -ops.mean(ops.log_softmax(y_pred, axis=-1), axis=-1)
        each = (1.0 - self.label_smoothing) * right + self.label_smoothing * spread
        if not (isinstance(self.focal_gamma, float) and self.focal_gamma == 0.0):
            each = each * ops.power(ops.maximum(-ops.expm1(-right), CERTAIN), self.focal_gamma)
        if self.class_weights is not None:
            each = each * ops.take(ops.convert_to_tensor(self.class_weights, each.dtype), labels)
        return each

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to save it."""
        own = {"label_smoothing": self.label_smoothing, "focal_gamma": self.focal_gamma}
        return {**super().get_config(), **own, "class_weights": self.class_weights}


@keras.saving.register_keras_serializable("searchlab")
class Crossentropy(keras.metrics.SparseCategoricalCrossentropy):  # type: ignore[misc]
    """Mean cross-entropy; of mixed examples that of both classes, each at its share."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        if not _is_mixed(y_true):
            super().update_state(y_true, y_pred, sample_weight)
            return
        share = y_true[:, 2] if sample_weight is None else y_true[:, 2] * sample_weight
        rest = 1.0 - share if sample_weight is None else sample_weight - share
        super().update_state(y_true[:, 0], y_pred, share)
        super().update_state(y_true[:, 1], y_pred, rest)


@keras.saving.register_keras_serializable("searchlab")
class Accuracy(keras.metrics.SparseCategoricalAccuracy):  # type: ignore[misc]
    """Share of right answers; of mixed examples the class of the larger share is right."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        super().update_state(_main(y_true), y_pred, sample_weight)


@keras.saving.register_keras_serializable("searchlab")
class BalancedAccuracy(keras.metrics.Metric):  # type: ignore[misc]
    """The mean, over the classes that occur, of the share of right answers among the examples of a class."""

    def __init__(self, classes: int, name: str = "balanced_accuracy", **settings: Any) -> None:
        super().__init__(name=name, **settings)
        self.classes = classes
        self.counts = self.add_variable((2, classes), initializer="zeros", name="counts")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        labels = ops.cast(ops.reshape(_main(y_true), ops.shape(y_pred)[:-1]), "int32")
        right = ops.cast(ops.equal(labels, ops.cast(ops.argmax(y_pred, axis=-1), "int32")), self.dtype)
        weights = ops.ones_like(right) if sample_weight is None else ops.cast(sample_weight, self.dtype)
        seen = ops.one_hot(labels, self.classes, dtype=self.dtype)
        self.counts.assign_add(ops.matmul(ops.stack([weights, right * weights]), seen))

    def result(self) -> Any:
        """The mean so far; 0 before the first example."""
        seen, right = ops.unstack(ops.convert_to_tensor(self.counts))
        return ops.divide_no_nan(ops.sum(ops.divide_no_nan(right, seen)), ops.sum(ops.sign(seen)))

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to save it."""
        return {**super().get_config(), "classes": self.classes}


def _is_mixed(y_true: Any) -> bool:
    return len(y_true.shape) == 2 and y_true.shape[-1] == PACKED


def _main(y_true: Any) -> Any:
    """The class numbers that count as right."""
    return ops.where(y_true[:, 2] >= 0.5, y_true[:, 0], y_true[:, 1]) if _is_mixed(y_true) else y_true


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

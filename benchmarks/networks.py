"""The networks of searchlab's families in plain Keras, for the rivals: equal layers, sizes and laws of first weights.

A test holds them beside the families.  Characters are masked, as searchlab's are; no window needs it, and without a
mask `fit` takes a tenth less processor time (4.3 and 3.9 s for 5 epochs).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from benchmarks.tasks import Task

EMBEDDING = 32
"""Width of a character's vector: the default of the family `rnn`."""


def network(task: Task, shape: tuple[int, ...], classes: int, vocabulary: int, values: dict[str, Any]) -> keras.Model:
    """A compiled model with a trial's `values`; what the space does not vary is as `task` says."""
    depth = values.get("depth", task.depth)
    width, growth = (values["width"], 1.0) if "width" in values else (task.width, task.growth)
    widths = [round(width * growth**i) for i in range(depth)]
    build = {"mlp": _perceptron, "cnn": _convolutional, "rnn": _recurrent}[task.family]
    inputs = keras.Input(shape, dtype="int32" if task.kind == "tokens" else "float32")
    penalty = keras.regularizers.L2(values["l2"])
    x = build(inputs, widths, values.get("batch_norm", False), values["dropout"], penalty, vocabulary)
    model = keras.Model(inputs, layers.Dense(classes, kernel_regularizer=penalty)(x))
    model.compile(
        optimizer=_optimizer(values),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _optimizer(values: dict[str, Any]) -> keras.optimizers.Optimizer:
    if values["optimizer"] == "sgd":
        return keras.optimizers.SGD(values["learning_rate"], momentum=values["momentum"])
    if values["optimizer"] == "rmsprop":
        return keras.optimizers.RMSprop(values["learning_rate"], momentum=values["momentum"])
    return keras.optimizers.Adam(values["learning_rate"])


def _perceptron(x: Any, widths: list[int], batch_norm: bool, dropout: float, penalty: Any, vocabulary: int) -> Any:
    x = layers.Flatten()(x)
    for width in widths:
        x = layers.Dense(width, use_bias=not batch_norm, kernel_initializer="he_normal", kernel_regularizer=penalty)(x)
        if batch_norm:
            x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.Dropout(dropout)(x)
    return x


def _convolutional(x: Any, widths: list[int], batch_norm: bool, dropout: float, penalty: Any, vocabulary: int) -> Any:
    for block, width in enumerate(widths):
        if block > 0:
            x = layers.MaxPooling2D(2)(x)
        x = layers.Conv2D(
            width,
            3,
            padding="same",
            use_bias=not batch_norm,
            kernel_initializer="he_normal",
            kernel_regularizer=penalty,
        )(x)
        if batch_norm:
            x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dropout(dropout)(x)


def _recurrent(x: Any, widths: list[int], batch_norm: bool, dropout: float, penalty: Any, vocabulary: int) -> Any:
    x = layers.Embedding(vocabulary, EMBEDDING, mask_zero=True)(x)
    for i, width in enumerate(widths, start=1):
        x = layers.LSTM(width, return_sequences=i < len(widths), kernel_regularizer=penalty)(x)
        if batch_norm:
            x = layers.BatchNormalization()(x)
        x = layers.Dropout(dropout)(x)
    return x

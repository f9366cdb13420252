"""Keras's random layers as one layer, which sees raw pixels and is the identity outside of training.

Why not the random layers themselves in the model: images are encoded (`Pixels`) while contrast and RandAugment have to
know the range of values, and scaling there and back would change the last digits of validation scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from searchlab import seeds
from searchlab.models.augment import AugmentOptions
from searchlab.tasks import Pixels, Problem

FLIPS = {"horizontal": "horizontal", "vertical": "vertical", "both": "horizontal_and_vertical"}
"""Keras's words for ours."""

OUTSIDE = "nearest"
"""What an image is continued with: its own edge."""


class Augmentation(keras.layers.Layer):  # type: ignore[misc]
    """Encoded images (b, height, width, channels) to such, by `layers` that take raw ones; only while training."""

    def __init__(self, pixels: Pixels, layers: list[keras.layers.Layer]) -> None:
        super().__init__(name="augmentation", dtype="float32")
        self.pixels = pixels
        self.layers = layers

    def build(self, input_shape: Any) -> None:
        """Build the layers, each on what the one before gives."""
        for layer in self.layers:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, x: Any, training: bool = False) -> Any:
        """Not one bit is changed outside of training."""
        if not training:
            return x
        mean, deviation = (ops.convert_to_tensor(held, "float32") for held in (self.pixels.mean, self.pixels.deviation))
        raw = x * deviation + mean
        for layer in self.layers:
            raw = layer(raw, training=True)
        return (ops.clip(raw, self.pixels.low, self.pixels.high) - mean) / deviation

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As it was."""
        return input_shape


class Crop(keras.layers.RandomCrop):  # type: ignore[misc]
    """Keras's, by indices and not by a slice, whose changing place JAX cannot compile."""

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        """(b, self.height, self.width, channels) of `images`, from the place that was drawn."""
        top, left = transformation
        rows, columns = top + ops.arange(self.height), left + ops.arange(self.width)
        return ops.take(ops.take(images, rows, axis=1), columns, axis=2)


class Coloured(keras.layers.Layer):  # type: ignore[misc]
    """`layer`, which takes three channels, for gray images (b, height, width, 1)."""

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(dtype="float32")
        self.layer = layer

    def build(self, input_shape: Any) -> None:
        """Build the layer for three channels."""
        self.layer.build((*input_shape[:-1], 3))

    def call(self, x: Any, training: bool = False) -> Any:
        """The mean of the three channels."""
        coloured = ops.concatenate([x, x, x], axis=-1)
        return ops.mean(self.layer(coloured, training=training), axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As it was."""
        return input_shape


def augmented(model: keras.Model, problem: Problem, options: AugmentOptions, seed: int) -> keras.Model:
    """`model` behind the layers that `options` ask for: to train with.  It has the weights of `model` and no others."""
    pixels = problem.pixels
    assert pixels is not None, "infeasible comes first"
    made: list[keras.layers.Layer] = []
    for name in options.layers:
        found = LAYERS[name](getattr(options, name), problem, seeds.derive(seed, "augment", name))
        made += [_compilable(layer) for layer in found]
    inputs = keras.Input(problem.input_shape, dtype="float32", name="input")
    return keras.Model(inputs, model(Augmentation(pixels, made)(inputs)), name=model.name)


def _flip(mode: str, problem: Problem, seed: int) -> list[keras.layers.Layer]:
    return [keras.layers.RandomFlip(FLIPS[mode], seed=seed, dtype="float32")]


def _crop(share: float, problem: Problem, seed: int) -> list[keras.layers.Layer]:
    height, width, _ = problem.input_shape
    left = [max(1, min(side - 1, round(side * (1.0 - share)))) for side in (height, width)]
    return [
        Crop(*left, seed=seed, dtype="float32"),
        keras.layers.Resizing(height, width, dtype="float32"),
    ]


def _rotation(share: float, problem: Problem, seed: int) -> list[keras.layers.Layer]:
    return [keras.layers.RandomRotation(share, fill_mode=OUTSIDE, seed=seed, dtype="float32")]


def _translation(share: float, problem: Problem, seed: int) -> list[keras.layers.Layer]:
    return [keras.layers.RandomTranslation(share, share, fill_mode=OUTSIDE, seed=seed, dtype="float32")]


def _zoom(share: float, problem: Problem, seed: int) -> list[keras.layers.Layer]:
    return [keras.layers.RandomZoom(share, fill_mode=OUTSIDE, seed=seed, dtype="float32")]


def _contrast(share: float, problem: Problem, seed: int) -> list[keras.layers.Layer]:
    return [keras.layers.RandomContrast(share, value_range=_range(problem), seed=seed, dtype="float32")]


def _rand_augment(strength: float, problem: Problem, seed: int) -> list[keras.layers.Layer]:
    layer = keras.layers.RandAugment(value_range=_range(problem), factor=strength, seed=seed, dtype="float32")
    return [layer if problem.input_shape[-1] == 3 else Coloured(layer)]


def _range(problem: Problem) -> tuple[float, float]:
    assert problem.pixels is not None
    return problem.pixels.low, problem.pixels.high


def _compilable(layer: keras.layers.Layer) -> keras.layers.Layer:
    """`layer`, marked for JAX's compiler: Keras rules out all that TensorFlow's XLA cannot do, on JAX too."""
    if keras.backend.backend() == "jax":
        for one in layer._flatten_layers():
            one.supports_jit = True
    return layer


LAYERS: Mapping[str, Callable[[Any, Problem, int], list[keras.layers.Layer]]] = {
    "flip": _flip,
    "crop": _crop,
    "rotation": _rotation,
    "translation": _translation,
    "zoom": _zoom,
    "contrast": _contrast,
    "rand_augment": _rand_augment,
}
"""What makes the layers of each option from its value, for a problem, with a seed of its own."""

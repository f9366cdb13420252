"""A convolutional network for images: blocks of convolutions with downsampling between them.

Each convolution: convolution → batch norm → activation.  With `residual`, the input of a block is added before its
last activation (He et al. 2016, arXiv:1512.03385), through a 1×1 convolution where shapes differ.  There is no
downsampling after the last block: the head does that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from searchlab import options
from searchlab.lazy import lazy
from searchlab.models import Family
from searchlab.models.layers import Activation, Initializer, Layers, inputs_of, unfit
from searchlab.options import per_layer, shape, spread, value
from searchlab.tasks import Problem

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")


class CNNOptions(options.Options):
    """Settings of the `cnn` family."""

    depth: int = shape(2, ge=1, le=8)
    """Blocks; the image is halved between each and the next."""
    width: int | list[int] = per_layer(32, count="depth", ge=1, le=4096)
    """Filters of each block."""
    growth: float = shape(1.0, ge=0.25, le=4.0)
    """What the filters of each block are multiplied by, once for every block before it; 2 doubles them."""
    convolutions: int = shape(1, ge=1, le=4)
    """Convolutions in each block."""
    kernel: int | list[int] = per_layer(3, count="depth", ge=1, le=31)
    """Side of the kernels of each block, in pixels."""
    pooling: Literal["max", "average", "stride", "none"] = shape("max")
    """How an image is halved: by its largest or mean values, by a stride of the next convolution, or not at all."""
    activation: Activation = shape("relu")
    """Nonlinearity after every convolution."""
    batch_norm: bool = shape(False)
    """Whether each convolution is batch-normalized before its activation (Ioffe & Szegedy 2015)."""
    residual: bool = shape(False)
    """Whether the input of each block is added to its output."""
    head: Literal["average", "flatten"] = shape("average")
    """What the output layer sees: the mean of each filter over the image, or every pixel of it."""
    dropout: float = value(0.0, ge=0.0, lt=1.0)
    """Share of units dropped before the output layer (Srivastava et al. 2014)."""
    l2: float = value(0.0, ge=0.0)
    """Weight of the sum of squares of all kernels in the loss."""
    initializer: Initializer = shape("he_normal")
    """How the first kernels of the convolutions are drawn."""


class CNN:
    """Builds convolutional networks."""

    Options: type[options.Options] = CNNOptions
    accepts: tuple[str, ...] = ("image",)

    def infeasible(self, problem: Problem, options: CNNOptions) -> str | None:
        """A kind of input it cannot take, or an image too small to be halved so often."""
        reason = unfit(problem, "cnn", self.accepts)
        if reason or options.pooling not in ("max", "average"):
            return reason
        height, width, _ = problem.input_shape
        halvings = min(height, width).bit_length() - 1
        if options.depth - 1 <= halvings:
            return None
        return (
            f"an image of {height}×{width} can be halved {halvings} times, enough for a depth of {halvings + 1}, not "
            f"for {options.depth}; pooling by stride or none has no such limit."
        )

    def build(self, problem: Problem, options: CNNOptions, seed: int) -> keras.Model:
        """A fresh model."""
        layers = Layers(seed, options.initializer, options.l2)
        inputs = x = inputs_of(problem)
        for block, (filters, kernel) in enumerate(zip(_filters(options), _kernels(options), strict=True), start=1):
            if block > 1:
                x = _pool(options, x, name=f"pool_{block - 1}")
            x = _block(layers, options, x, filters=filters, kernel=kernel, block=block)
        if options.head == "average":
            x = keras.layers.GlobalAveragePooling2D(name="average")(x)
        else:
            x = keras.layers.Flatten(name="flatten")(x)
        x = layers.dropout(options.dropout, name="dropout")(x)
        return keras.Model(inputs, layers.output(problem.units)(x), name="cnn")


def _filters(options: CNNOptions) -> list[int]:
    widths = spread(options.width, options.depth)
    return [max(1, round(width * options.growth**i)) for i, width in enumerate(widths)]


def _kernels(options: CNNOptions) -> tuple[int, ...]:
    return spread(options.kernel, options.depth)


def _pool(options: CNNOptions, x: Any, *, name: str) -> Any:
    if options.pooling == "max":
        return keras.layers.MaxPooling2D(2, name=name)(x)
    if options.pooling == "average":
        return keras.layers.AveragePooling2D(2, name=name)(x)
    return x


def _block(layers: Layers, options: CNNOptions, x: Any, *, filters: int, kernel: int, block: int) -> Any:
    entry = x
    strides = 2 if options.pooling == "stride" and block > 1 else 1
    for i in range(1, options.convolutions + 1):
        name = f"{block}" if options.convolutions == 1 else f"{block}_{i}"
        step = strides if i == 1 else 1
        x = layers.conv(filters, kernel, strides=step, use_bias=not options.batch_norm, name=f"conv_{name}")(x)
        if options.batch_norm:
            x = keras.layers.BatchNormalization(name=f"batch_norm_{name}")(x)
        if options.residual and i == options.convolutions:
            if strides > 1 or entry.shape[-1] != filters:
                entry = layers.conv(filters, 1, strides=strides, name=f"shortcut_{block}")(entry)
            x = keras.layers.Add(name=f"add_{block}")([x, entry])
        x = keras.layers.Activation(options.activation, name=f"activation_{name}")(x)
    return x


FAMILY: Family = CNN()

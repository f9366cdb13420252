"""Layers with a name, a seed of their own and the regularizer of their model: what all families are made of.

Two models from equal options and seeds have bit-equal weights, and a layer added at one place of a model leaves
the first weights of all others as they were: each seed is derived from the name of its layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from searchlab import seeds
from searchlab.lazy import lazy
from searchlab.options import spread
from searchlab.tasks import Problem

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

Activation: TypeAlias = Literal["relu", "tanh", "sigmoid", "elu", "gelu", "silu", "leaky_relu"]
Initializer: TypeAlias = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"
]


@dataclass(frozen=True)
class Layers:
    """The layers of one model, made on demand."""

    seed: int
    initializer: Initializer
    l2: float
    """Weight of the sum of squares of every kernel in the loss; 0 adds no term."""

    def weights(self, name: str, initializer: str | None = None) -> keras.initializers.Initializer:
        """First weights for the kernel `name`, drawn from a seed of its own."""
        seed = seeds.derive(self.seed, "weights", name)
        return keras.initializers.get({"class_name": initializer or self.initializer, "config": {"seed": seed}})

    def penalty(self, l2: float | None = None) -> keras.regularizers.Regularizer | None:
        """The L2 term of a kernel."""
        strength = self.l2 if l2 is None else l2
        return keras.regularizers.L2(strength) if strength > 0.0 else None

    def dense(self, units: int, *, name: str, use_bias: bool = True) -> keras.layers.Layer:
        """A fully connected layer without activation."""
        return keras.layers.Dense(
            units,
            use_bias=use_bias,
            kernel_initializer=self.weights(name),
            kernel_regularizer=self.penalty(),
            name=name,
        )

    def output(self, units: int) -> keras.layers.Layer:
        """The last layer: no activation, small first outputs, in float32 whatever the precision of the others."""
        return keras.layers.Dense(
            units,
            kernel_initializer=self.weights("output", "glorot_uniform"),
            kernel_regularizer=self.penalty(),
            dtype="float32",
            name="output",
        )

    def conv(
        self, filters: int, kernel: int, *, name: str, strides: int = 1, use_bias: bool = True
    ) -> keras.layers.Layer:
        """A convolution over (height, width) that keeps the size, divided by `strides` and rounded up."""
        return keras.layers.Conv2D(
            filters,
            kernel,
            strides=strides,
            padding="same",
            use_bias=use_bias,
            kernel_initializer=self.weights(name),
            kernel_regularizer=self.penalty(),
            name=name,
        )

    def dropout(self, rate: float, *, name: str) -> keras.layers.Layer:
        """Drops units while training; there at rate 0 too, so that the rate is a number and not a layer."""
        return keras.layers.Dropout(rate, seed=seeds.derive(self.seed, "dropout", name), name=name)

    def embedding(self, problem: Problem, width: int) -> keras.layers.Layer:
        """(batch, time) tokens to (batch, time, width); token 0 is masked."""
        return keras.layers.Embedding(
            problem.vocabulary_size,
            width,
            embeddings_initializer=keras.initializers.RandomUniform(
                -0.05, 0.05, seed=seeds.derive(self.seed, "weights", "embedding")
            ),
            mask_zero=True,
            name="embedding",
        )


def hidden(layers: Layers, options: Any, x: Any) -> Any:
    """`x` (batch, columns) after hidden layers, each dense → batch norm → activation → dropout.

    `options` has their `depth`, `width`, `activation`, `batch_norm` and `dropout`.
    """
    for i, width in enumerate(spread(options.width, options.depth), start=1):
        x = layers.dense(width, use_bias=not options.batch_norm, name=f"dense_{i}")(x)
        if options.batch_norm:
            x = keras.layers.BatchNormalization(name=f"batch_norm_{i}")(x)
        x = keras.layers.Activation(options.activation, name=f"activation_{i}")(x)
        x = layers.dropout(options.dropout, name=f"dropout_{i}")(x)
    return x


def unfit(problem: Problem, family: str, accepts: tuple[str, ...]) -> str | None:
    """Why `family` cannot take this kind of problem at all; None when it can."""
    if problem.kind in accepts:
        return None
    return f"{family} takes {' or '.join(accepts)} inputs, and these are of kind {problem.kind!r}."


def inputs_of(problem: Problem) -> Any:
    """The symbolic input of a model for `problem`."""
    return keras.Input(problem.input_shape, dtype="int32" if problem.kind == "tokens" else "float32", name="input")

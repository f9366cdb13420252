"""A multilayer perceptron: fully connected layers on a flat input.

Each layer: dense → batch norm → activation → dropout.  Images and sequences are flattened; tokens are embedded and
averaged over time first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchlab import options
from searchlab.lazy import lazy
from searchlab.models import Family
from searchlab.models.layers import Activation, Initializer, Layers, hidden, inputs_of, unfit
from searchlab.options import per_layer, shape, value
from searchlab.tasks import Problem

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")


class MLPOptions(options.Options):
    """Settings of the `mlp` family."""

    depth: int = shape(2, ge=1, le=16)
    """Hidden layers."""
    width: int | list[int] = per_layer(64, count="depth", ge=1, le=65536)
    """Units of each hidden layer."""
    activation: Activation = shape("relu")
    """Nonlinearity of every hidden layer."""
    batch_norm: bool = shape(False)
    """Whether each hidden layer is batch-normalized before its activation (Ioffe & Szegedy 2015)."""
    dropout: float = value(0.0, ge=0.0, lt=1.0)
    """Share of units dropped after every hidden layer (Srivastava et al. 2014)."""
    l2: float = value(0.0, ge=0.0)
    """Weight of the sum of squares of all kernels in the loss."""
    initializer: Initializer = shape("he_normal")
    """How the first kernels of the hidden layers are drawn."""
    embedding: int = shape(32, ge=1, le=4096)
    """Width of a token's vector; only tokens have one."""


class MLP:
    """Builds perceptrons."""

    Options: type[options.Options] = MLPOptions
    accepts: tuple[str, ...] = ("vector", "image", "sequence", "tokens")

    def infeasible(self, problem: Problem, options: MLPOptions) -> str | None:
        """Only a kind of input that it cannot take."""
        return unfit(problem, "mlp", self.accepts)

    def build(self, problem: Problem, options: MLPOptions, seed: int) -> keras.Model:
        """A fresh model."""
        layers = Layers(seed, options.initializer, options.l2)
        inputs = x = inputs_of(problem)
        if problem.kind == "tokens":
            x = layers.embedding(problem, options.embedding)(x)
            x = keras.layers.GlobalAveragePooling1D(name="average")(x)
        elif len(problem.input_shape) > 1:
            x = keras.layers.Flatten(name="flatten")(x)
        x = hidden(layers, options, x)
        return keras.Model(inputs, layers.output(problem.units)(x), name="mlp")


FAMILY: Family = MLP()

"""A head on given features: dropout, hidden layers if any, output.  With depth 0, a linear model.

`transfer` trains it on what its backbone makes of images.

Why not `mlp`: without hidden layers it would drop nothing, and features are what a head overfits on.
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


class HeadOptions(options.Options):
    """Settings of the `head` family; `transfer` has them too."""

    depth: int = shape(0, ge=0, le=16)
    """Hidden layers; with none, the outputs are linear in the features."""
    width: int | list[int] = per_layer(128, count="depth", ge=1, le=65536)
    """Units of each hidden layer."""
    activation: Activation = shape("relu")
    """Nonlinearity of every hidden layer."""
    batch_norm: bool = shape(False)
    """Whether each hidden layer is batch-normalized before its activation (Ioffe & Szegedy 2015)."""
    dropout: float = value(0.0, ge=0.0, lt=1.0)
    """Share of features, and of each hidden layer's units, that are dropped (Srivastava et al. 2014)."""
    l2: float = value(0.0, ge=0.0)
    """Weight of the sum of squares of all kernels in the loss."""
    initializer: Initializer = shape("he_normal")
    """How the first kernels of the hidden layers are drawn."""


class HeadFamily:
    """Builds heads."""

    Options: type[options.Options] = HeadOptions
    accepts: tuple[str, ...] = ("vector",)

    def infeasible(self, problem: Problem, options: HeadOptions) -> str | None:
        """Only a kind of input that it cannot take."""
        return unfit(problem, "head", self.accepts)

    def build(self, problem: Problem, options: HeadOptions, seed: int) -> keras.Model:
        """A fresh model."""
        layers = Layers(seed, options.initializer, options.l2)
        inputs = inputs_of(problem)
        x = hidden(layers, options, layers.dropout(options.dropout, name="dropout_0")(inputs))
        return keras.Model(inputs, layers.output(problem.units)(x), name="head")


FAMILY: Family = HeadFamily()

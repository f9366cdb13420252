"""A recurrent network: layers of plain, LSTM or GRU cells over time, the last state read out.

Each layer: recurrence → normalization → dropout.  Tokens are embedded first and padding is masked.

Why no dropout inside the recurrence: it switches the fused cuDNN kernels off, which costs a factor of about 25
on a GPU (tensorflow#38236).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from searchlab import options, seeds
from searchlab.lazy import lazy
from searchlab.models import Family
from searchlab.models.layers import Initializer, Layers, inputs_of, unfit
from searchlab.options import per_layer, shape, spread, value
from searchlab.tasks import Problem

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")


class RNNOptions(options.Options):
    """Settings of the `rnn` family."""

    cell: Literal["rnn", "lstm", "gru"] = shape("lstm")
    """Plain tanh cells, long short-term memory (Hochreiter & Schmidhuber 1997) or gated units (arXiv:1406.1078)."""
    depth: int = shape(1, ge=1, le=8)
    """Recurrent layers."""
    width: int | list[int] = per_layer(64, count="depth", ge=1, le=8192)
    """Units of each recurrent layer, in each direction."""
    bidirectional: bool = shape(False)
    """Whether a second set of cells reads every sequence backwards."""
    normalization: Literal["none", "batch", "layer"] = shape("none")
    """What follows each recurrent layer: nothing, batch or layer normalization (arXiv:1607.06450)."""
    dropout: float = value(0.0, ge=0.0, lt=1.0)
    """Share of units dropped after every recurrent layer."""
    l2: float = value(0.0, ge=0.0)
    """Weight of the sum of squares of all input and output kernels in the loss."""
    recurrent_l2: float = value(0.0, ge=0.0)
    """Weight of the sum of squares of all kernels from state to state in the loss."""
    initializer: Initializer = shape("glorot_uniform")
    """How the first input kernels are drawn; kernels from state to state start orthogonal."""
    embedding: int = shape(32, ge=1, le=4096)
    """Width of a token's vector; only tokens have one."""


class RNN:
    """Builds recurrent networks."""

    Options: type[options.Options] = RNNOptions
    accepts: tuple[str, ...] = ("sequence", "tokens")

    def infeasible(self, problem: Problem, options: RNNOptions) -> str | None:
        """Only a kind of input that it cannot take."""
        return unfit(problem, "rnn", self.accepts)

    def build(self, problem: Problem, options: RNNOptions, seed: int) -> keras.Model:
        """A fresh model."""
        layers = Layers(seed, options.initializer, options.l2)
        inputs = x = inputs_of(problem)
        if problem.kind == "tokens":
            x = layers.embedding(problem, options.embedding)(x)
        for i, width in enumerate(spread(options.width, options.depth), start=1):
            x = _recurrence(layers, options, width, i)(x)
            if options.normalization == "batch":
                x = keras.layers.BatchNormalization(name=f"batch_norm_{i}")(x)
            elif options.normalization == "layer":
                x = keras.layers.LayerNormalization(name=f"layer_norm_{i}")(x)
            x = layers.dropout(options.dropout, name=f"dropout_{i}")(x)
        return keras.Model(inputs, layers.output(problem.units)(x), name="rnn")


def _recurrence(layers: Layers, options: RNNOptions, width: int, i: int) -> keras.layers.Layer:
    """Recurrent layer `i`, counted from 1; all but the last give every moment's state."""

    def one_way(name: str, **direction: bool) -> keras.layers.Layer:
        kinds = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
        orthogonal = keras.initializers.Orthogonal(seed=seeds.derive(layers.seed, "weights", name, "recurrent"))
        return kinds[options.cell](
            width,
            return_sequences=i < options.depth,
            kernel_initializer=layers.weights(name),
            recurrent_initializer=orthogonal,
            kernel_regularizer=layers.penalty(),
            recurrent_regularizer=layers.penalty(options.recurrent_l2),
            name=name,
            **direction,
        )

    name = f"{options.cell}_{i}"
    if not options.bidirectional:
        return one_way(name)
    # Both ways are made here: Keras would copy the first, seed and all, and both would start from equal weights.
    backward: Any = one_way(f"{name}_backward", go_backwards=True)
    return keras.layers.Bidirectional(one_way(f"{name}_forward"), backward_layer=backward, name=name)


FAMILY: Family = RNN()

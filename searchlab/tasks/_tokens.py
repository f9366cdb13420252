"""Tokens numbered anew: 0 stays padding, the tokens of the training part become 1 … K, all others K + 1, "unknown".

Why anew: a token that only validation examples have would else own a vector that no training step ever moved, and
the size of the vocabulary would tell of examples that nothing may be fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab.data import Array, Collection, Examples
from searchlab.errors import DataError
from searchlab.lazy import lazy

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")


@dataclass(frozen=True)
class Tokens:
    """The tokens that the training part has, in ascending order, without the padding."""

    length: int
    known: tuple[int, ...]
    kind: str = "tokens"
    pixels: None = None

    @classmethod
    def fit(cls, collection: Collection, train: Examples) -> Tokens:
        """The vocabulary of the training examples."""
        x = _whole(train.x)
        if len(x) == 0:
            raise DataError("there are no tokens in the training part.")
        known = np.unique(x)
        return cls(x.shape[1], tuple(known[known > 0].tolist()))

    @property
    def shape(self) -> tuple[int, ...]:
        """(time,)."""
        return (self.length,)

    @property
    def vocabulary_size(self) -> int | None:
        """Padding, the known tokens and "unknown"."""
        return len(self.known) + 2

    def encode(self, examples: Examples) -> Array:
        """(n, time) int32.  An example of padding alone reads as one unknown token: nothing has no average."""
        x = _whole(examples.x)
        if x.shape[1] != self.length:
            raise DataError(
                f"the examples must have {self.length} tokens, as in training, and these have {x.shape[1]}."
            )
        table = self._table()
        tokens = table[np.where(x < len(table), x, len(table) - 1)]
        tokens[~tokens.any(axis=1), 0] = self._unknown
        return tokens

    def front(self) -> list[keras.layers.Layer]:
        """A small model of Keras's own operations that looks tokens up in a table."""
        ops = keras.ops
        table = self._table()
        raw = keras.Input(self.shape, dtype="int32", name="raw_tokens")
        tokens = ops.take(table, ops.minimum(raw, len(table) - 1))
        is_empty = ops.logical_not(ops.any(ops.not_equal(tokens, 0), axis=1, keepdims=True))
        first = np.eye(1, self.length, dtype="int32") * self._unknown
        tokens = ops.where(is_empty, first, tokens)
        return [keras.Model(raw, tokens, name="number_tokens")]

    def to_json(self) -> dict[str, Any]:
        """Length and known tokens."""
        return {"length": self.length, "known": list(self.known)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Tokens:
        """From `to_json`."""
        return cls(content["length"], tuple(content["known"]))

    @property
    def _unknown(self) -> int:
        return len(self.known) + 1

    def _table(self) -> Array:
        """(largest known + 2,) int32: the number of each token, the last entry being that of all larger ones."""
        largest = self.known[-1] if self.known else 0
        table = np.full(largest + 2, self._unknown, np.int32)
        table[0] = 0
        table[np.asarray(self.known, int)] = np.arange(1, len(self.known) + 1)
        return table


def _whole(x: Array) -> Array:
    if x.ndim != 2 or 0 in x.shape[1:]:
        raise DataError(f"tokens must have the shape (n, time), and these have {x.shape}.")
    if not np.issubdtype(x.dtype, np.integer):
        raise DataError(f"tokens must be whole numbers, and these are of type {x.dtype}.")
    if len(x) and x.min() < 0:
        raise DataError(f"tokens must not be negative, and one is {x.min()}.")
    return x

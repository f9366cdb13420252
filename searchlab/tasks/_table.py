"""Tables: gaps filled with the median, numbers standardized, words as one-hot columns; all as the training part has it.

A word that the training part lacks is a row of zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab.data import Array, Collection, Examples
from searchlab.errors import DataError
from searchlab.lazy import lazy
from searchlab.tasks._scaling import Scaling

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

MOST_WORDS = 1000
"""Different words of one column beyond which it is no category: names, identifiers, free text."""


@dataclass(frozen=True)
class Table:
    """A median and a scaling for each column of numbers, a word list for each column of words."""

    medians: tuple[float, ...]
    scaling: Scaling
    words: tuple[tuple[str, ...], ...]
    kind: str = "vector"
    vocabulary_size: int | None = None
    pixels: None = None

    @classmethod
    def fit(cls, collection: Collection, train: Examples) -> Table:
        """Look at the training rows; a column without a single number counts as zeros."""
        if len(train) == 0:
            raise DataError("there are no rows in the training part.")
        x = _numbers(train.x)
        words = tuple(
            _words(column, collection.category_columns[i] if i < len(collection.category_columns) else str(i))
            for i, column in enumerate(_columns_of_words(train).T)
        )
        if x.shape[1] + len(words) == 0:
            raise DataError("the table has no column to learn from.")
        is_gap = np.isnan(x)
        medians = np.zeros(x.shape[1])
        filled = ~is_gap.all(axis=0)
        medians[filled] = np.nanmedian(x[:, filled], axis=0) if filled.any() else 0.0
        return cls(tuple(medians.tolist()), Scaling.fit(np.where(is_gap, medians, x)), words)

    @property
    def shape(self) -> tuple[int, ...]:
        """(columns of numbers + all words,)."""
        return (len(self.medians) + sum(map(len, self.words)),)

    def encode(self, examples: Examples) -> Array:
        """(n, columns) float32: the numbers, then the one-hot columns of each column of words."""
        x = _numbers(examples.x)
        text = _columns_of_words(examples)
        if (x.shape[1], text.shape[1]) != (len(self.medians), len(self.words)):
            raise DataError(
                f"the table must have {len(self.medians)} columns of numbers and {len(self.words)} of words, as in "
                f"training, and this one has {x.shape[1]} and {text.shape[1]}."
            )
        parts = [self.scaling.apply(np.where(np.isnan(x), np.asarray(self.medians), x))]
        parts += [text[:, [i]] == np.asarray([words]) for i, words in enumerate(self.words)]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def front(self) -> list[keras.layers.Layer]:
        """Fills and standardizes; nothing for a table with words, whose model takes encoded rows."""
        if self.words:
            return []
        raw = keras.Input((len(self.medians),), dtype="float32", name="raw_columns")
        filled = keras.ops.where(keras.ops.isnan(raw), np.asarray(self.medians, "float32"), raw)
        fill = keras.Model(raw, filled, name="fill_gaps")
        return [fill, keras.layers.Rescaling(*self.scaling.factor_and_offset, name="standardize")]

    def to_json(self) -> dict[str, Any]:
        """Medians, scaling and words."""
        return {
            "medians": list(self.medians),
            "scaling": self.scaling.to_json(),
            "words": [list(words) for words in self.words],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Table:
        """From `to_json`."""
        words = tuple(tuple(column) for column in content["words"])
        return cls(tuple(content["medians"]), Scaling.from_json(content["scaling"]), words)


def _numbers(x: Array) -> Array:
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool):
        raise DataError(f"the columns of a table must be numbers, and these are of type {x.dtype}; name words as such.")
    if x.ndim != 2:
        raise DataError(f"a table must have the shape (n, columns), and this one has {x.shape}.")
    x = x.astype(np.float64)
    is_infinite = np.isinf(x)
    if is_infinite.any():
        row, column = np.argwhere(is_infinite)[0]
        raise DataError(f"column {column} of row {row} is infinite; a missing number is NaN.")
    return x


def _columns_of_words(examples: Examples) -> Array:
    """(n, k) strings."""
    if examples.categories is None:
        return np.empty((len(examples), 0), str)
    return examples.categories.astype(str)


def _words(column: Array, name: str) -> tuple[str, ...]:
    words = tuple(np.unique(column).tolist())
    if len(words) > MOST_WORDS:
        raise DataError(
            f"column {name!r} has {len(words)} different words in {len(column)} rows, more than {MOST_WORDS}: that is "
            "a name or a text, not a category. Leave it out."
        )
    return words

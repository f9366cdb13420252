"""Labels, strings or whole numbers, as class numbers in ascending order of the training labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from searchlab.data import Array
from searchlab.errors import DataError, nearest


@dataclass(frozen=True)
class Classes:
    """The labels of the training part, in ascending order."""

    names: tuple[str, ...] | tuple[int, ...]

    @classmethod
    def fit(cls, y: Array) -> Classes:
        """The class list of the training labels.

        Raises:
            DataError: Fewer than two classes, or labels that are no labels.
        """
        found = np.unique(_labels(y)).tolist()
        if len(found) < 2:
            only = f"all are {found[0]!r}" if len(found) else "there are none"
            raise DataError(f"a classifier needs at least two classes in the training part; {only}.")
        return cls(tuple(found))

    def encode(self, y: Array) -> Array:
        """(n,) int32 class numbers.

        Raises:
            DataError: A label that the training part does not have.
        """
        labels = _labels(y)
        names = np.asarray(self.names)
        if labels.dtype.kind != names.dtype.kind and len(labels):
            raise DataError(
                f"labels such as {labels[:1].tolist()[0]!r} are of another type than in training ({self.names[0]!r})."
            )
        numbers = np.minimum(np.searchsorted(names, labels), len(names) - 1)
        is_new = names[numbers] != labels
        if is_new.any():
            new = np.unique(labels[is_new]).tolist()
            known = ", ".join(map(str, self.names[:20])) + (", …" if len(self.names) > 20 else "")
            raise DataError(
                f"{is_new.sum()} examples have a label that the training part lacks, such as {new[0]!r}."
                f"{nearest(str(new[0]), map(str, self.names))} Known: {known}. A stratified split keeps every class in "
                "all parts."
            )
        return numbers.astype(np.int32)

    def decode(self, numbers: Array) -> Array:
        """Labels from class numbers."""
        return np.asarray(self.names)[numbers]


def _labels(y: Array) -> Array:
    """(n,) strings or int64."""
    if y.ndim != 1:
        raise DataError(f"labels must have the shape (n,), and these have {y.shape}.")
    if y.dtype.kind in "US":
        return y.astype(str)
    if y.dtype.kind == "O":
        missing = sum(label is None or label != label for label in y)
        if missing:
            raise DataError(f"{missing} of {len(y)} labels are missing.")
        return y.astype(str)
    if y.dtype.kind == "f":
        if not np.isfinite(y).all():
            raise DataError(f"{(~np.isfinite(y)).sum()} of {len(y)} labels are missing or infinite.")
        if (y != np.round(y)).any():
            odd = y[y != np.round(y)][0]
            raise DataError(f"labels must be words or whole numbers, and one is {odd}; is this a regression?")
    elif y.dtype.kind not in "biu":
        raise DataError(f"labels must be words or whole numbers, and these are of type {y.dtype}.")
    return y.astype(np.int64)

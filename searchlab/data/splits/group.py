"""Whole groups by chance, with classes as even as they allow: no patient, file or author is on both sides.

Why: slices of one subject on both sides raised accuracies by 29 to 55 points (Yagis 2021, Sci Rep 11:22544).
"""

from __future__ import annotations

import numpy as np

from searchlab.data import Array, Examples
from searchlab.data.parts import check_shares, is_labels
from searchlab.errors import DataError
from searchlab.seeds import stream

DRAWS = 10
"""Random orders that are tried; the most even outcome is taken."""
MANY = 2000
"""Groups from which on one order is even enough."""


class Group:
    """The rule `by: group`."""

    def part(
        self, examples: Examples, *, validation: float, test: float, seed: int, embargo: int
    ) -> tuple[Array, Array, Array]:
        """See `Split`; sizes are as near to the shares as whole groups allow."""
        check_shares(validation, test)
        if examples.group is None:
            raise DataError(
                "`by: group` needs groups, but the data has none: name the column or array that holds them."
            )
        train, held, sealed = draw(examples.group, examples.y, (validation, test), seed)
        return train, held, sealed


def draw(group: Array, y: Array, shares: tuple[float, ...], seed: int) -> tuple[Array, ...]:
    """The rows in `1 + len(shares)` parts, the first of which gets what the shares leave.

    Raises:
        DataError: Fewer groups than parts.
    """
    names, members = np.unique(group, return_inverse=True)
    count = 1 + len(shares)
    if len(names) < count:
        found = ", ".join(map(str, names))
        raise DataError(f"{count} parts need at least {count} groups, but the data has {len(names)}: {found}.")
    labels = np.unique(y, return_inverse=True)[1] if is_labels(y) else np.zeros(len(y), dtype=np.int64)
    content = np.zeros((len(names), labels.max() + 1))
    np.add.at(content, (members, labels), 1.0)
    wanted = np.array([1.0 - sum(shares), *shares])[:, None] * content.sum(axis=0)
    tries = [
        _fill(content, wanted, stream(seed, "split", "group", k).permutation(len(names)))
        for k in range(1 if len(names) > MANY else DRAWS)
    ]
    best = min(tries, key=lambda part: _unevenness(part, content, wanted))
    return tuple(np.flatnonzero(best[members] == number) for number in range(count))


def _fill(content: Array, wanted: Array, order: Array) -> Array:
    """The part of each group: one after another goes where it brings the counts nearest to those wanted."""
    part = np.zeros(len(content), dtype=np.int64)
    weight = 1.0 / np.maximum(content.sum(axis=0), 1.0) ** 2
    lacking = wanted.copy()
    for number in order:
        gain = ((2.0 * lacking - content[number]) * content[number] * weight).sum(axis=1)
        part[number] = int(gain.argmax())
        lacking[part[number]] -= content[number]
    for empty in sorted(set(range(len(wanted))) - set(part.tolist())):
        crowded = np.bincount(part, minlength=len(wanted)).argmax()
        inside = np.flatnonzero(part == crowded)
        part[inside[content[inside].sum(axis=1).argmin()]] = empty
    return part


def _unevenness(part: Array, content: Array, wanted: Array) -> tuple[int, float]:
    """How many (part, class) pairs have nothing, then the squared distance from the counts wanted."""
    have = np.stack([content[part == number].sum(axis=0) for number in range(len(wanted))])
    return int((have == 0).sum()), float((((have - wanted) / np.maximum(content.sum(axis=0), 1.0)) ** 2).sum())


SPLIT = Group()

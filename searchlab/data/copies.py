"""Copies among the examples, equal or (images) nearly so, and what is done about those on both sides of a split.

Why: 3.3 % of CIFAR-10's test images have a near copy in its training part, and accuracies fall when these are replaced
(Barz & Denzler 2020, arXiv:1902.00423).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np

from searchlab.data import SPLITS, Array, Collection, Examples
from searchlab.data.near import near_pairs
from searchlab.data.parts import PARTS
from searchlab.data.rows import selection
from searchlab.errors import DataError

Policy: TypeAlias = Literal["ignore", "warn", "fail", "together"]
"""What is done about copies in two parts: nothing, a warning, a refusal, or a split that keeps them in one part."""

SHOWN = 20
"""Clusters that a message lists."""

MEMBERS = 4
"""Of each."""


def clusters(collection: Collection, marks: Sequence[bytes]) -> Array:
    """(n,) for each example the lowest row among its copies, of its own where it has none; `marks` tell equal ones."""
    first: dict[bytes, int] = {}
    firsts = np.array([first.setdefault(mark, row) for row, mark in enumerate(marks)], dtype=np.int64)
    pairs = np.zeros((0, 2), dtype=np.int64)
    if collection.kind == "images":
        kept = np.unique(firsts)
        pairs = kept[near_pairs(selection(collection.examples.x, kept))]
    return _joined(firsts, pairs)


def part_together(
    rule: str, examples: Examples, cluster: Array, *, validation: float, test: float, seed: int, embargo: int
) -> tuple[Array, Array, Array]:
    """The rows of train, validation and test by `rule`, all of a cluster in one part.

    Without copies these are the rows that `rule` gives; with copies one of each cluster is drawn, the others follow.

    Raises:
        DataError: The data or the time say who goes where, or there is no such split.
    """
    if rule in ("given", "time"):
        raise DataError(
            f"`duplicates: together` cannot move copies where `by: {rule}` says who goes where; use `duplicates: fail`"
            ", which lists them, or `by: stratified`, `random` or `group`."
        )
    bare = replace(examples, x=np.empty((len(examples), 0)))  # a split looks at no inputs
    shares: dict[str, Any] = {"validation": validation, "test": test, "seed": seed, "embargo": embargo}
    if bare.group is not None:
        names, group = np.unique(bare.group, return_inverse=True)
        first = np.unique(group, return_index=True)[1]
        whole = _joined(cluster, np.stack([first[group], np.arange(len(group))], axis=1))
        return SPLITS.get(rule).part(replace(bare, group=names[group[whole]]), **shares)
    drawn = np.unique(cluster)
    parts = SPLITS.get(rule).part(bare.take(drawn), **shares)
    train, held, sealed = (np.flatnonzero(np.isin(cluster, drawn[part])) for part in parts)
    return train, held, sealed


def refuse_across(cluster: Array, rows: Mapping[str, Array], names: Sequence[str]) -> None:
    """Raise where copies lie in two parts, with the first of them by name.

    Raises:
        DataError: They do.
    """
    places = np.full(len(cluster), "", dtype="<U10")
    for part in PARTS:
        places[rows[part]] = part
    lines, members = [], 0
    for group in _several(cluster):
        inside = [row for row in group if places[row]]
        if len({str(places[row]) for row in inside}) > 1:
            members += len(inside)
            shown = (f"{names[row] if names else f'example {row}'} ({places[row]})" for row in inside[:MEMBERS])
            lines.append(" = ".join(shown))
    if lines:
        more = f"\n  … and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        listed = "\n  " + "\n  ".join(lines[:SHOWN]) + more
        raise DataError(
            f"{members} examples are copies of one another and lie in different parts of the split, so that what is "
            "learned by heart would pass for skill. Remove copies, or keep them in one part: "
            f"`data: {{duplicates: together}}`.{listed}"
        )


def near_across(examples: Examples, kind: str, rows: Mapping[str, Array]) -> int:
    """How many validation images are near copies of a training image; the test images are not looked at."""
    if kind != "images":
        return 0
    pairs = near_pairs(selection(examples.x, np.concatenate([rows["train"], rows["validation"]])))
    is_held = pairs >= len(rows["train"])
    across = pairs[is_held[:, 0] != is_held[:, 1]]
    return len(np.unique(across.max(axis=1))) if len(across) else 0


def count_copies(cluster: Array) -> int:
    """Examples that have a copy."""
    return sum(len(group) for group in _several(cluster))


def _several(cluster: Array) -> Iterator[list[int]]:
    """The rows of each cluster of more than one."""
    order = np.argsort(cluster, kind="stable")
    starts = np.unique(cluster[order], return_index=True)[1]
    yield from (group.tolist() for group in np.split(order, starts[1:]) if len(group) > 1)


def _joined(cluster: Array, pairs: Array) -> Array:
    """(n,) the lowest row of each cluster, where those of a pair belong to one."""
    lowest = cluster.tolist()

    def find(row: int) -> int:
        while lowest[row] != row:
            lowest[row] = lowest[lowest[row]]
            row = lowest[row]
        return row

    for one, other in pairs.tolist():
        low, high = sorted((find(one), find(other)))
        lowest[high] = low
    return np.array([find(row) for row in range(len(lowest))], dtype=np.int64)

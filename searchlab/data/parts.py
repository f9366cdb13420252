"""What every split must keep: shares that leave room, parts that are disjoint and not empty, no class left out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from searchlab.data import Array, Examples
from searchlab.errors import DataError

PARTS = ("train", "validation", "test")


def is_labels(y: Array) -> bool:
    """Whether targets are labels (words or whole numbers), not quantities."""
    return y.ndim == 1 and y.dtype.kind in "biuU"


def check_shares(validation: float, test: float) -> None:
    """Raise a `DataError` unless both shares are above 0 and leave something for training."""
    if not (validation > 0.0 and test > 0.0 and validation + test < 1.0):
        raise DataError(
            f"the split leaves an empty part: validation {validation:g} and test {test:g} must each be above 0 "
            "and together below 1; 0.2 and 0.2 is a good start."
        )


def check_apart(examples: Examples, rule: str) -> None:
    """Raise a `DataError` where drawing rows one by one would let groups or overlapping windows straddle the parts."""
    if examples.group is not None:
        raise DataError(
            f"the examples carry groups, and `by: {rule}` would spread a group over several parts. Use `by: group`; "
            "or drop the group from the data where it means nothing (for windows of several series: name it `series`)."
        )
    if examples.span is not None and rule != "time":
        raise DataError(
            f"the examples carry moments in time, and `by: {rule}` would train on what follows the test examples. "
            "Use `by: time`; or drop the time column where it means nothing."
        )


def check_parts(examples: Examples, parts: Mapping[str, Array]) -> None:
    """Raise where a part is empty or lacks a class that another part has, with the counts of all.

    Raises:
        DataError: With a table of counts and what would help.
    """
    taken = np.concatenate([parts[part] for part in PARTS])
    assert len(np.unique(taken)) == len(taken), "a split rule put a row into two parts"
    if any(len(parts[part]) == 0 for part in PARTS):
        raise DataError("the split leaves an empty part." + table(examples, parts))
    if is_labels(examples.y) and any(
        len(np.unique(examples.y[parts[part]])) < len(np.unique(examples.y[taken])) for part in PARTS
    ):
        raise DataError(
            "a class is missing in a part of the split. Each class needs at least one example (or group) in each of "
            "the three parts: use `by: stratified`, larger shares, another split seed, or leave rare classes out. "
            "If the target is a quantity rather than a label, give it as a real number." + table(examples, parts)
        )


def table(examples: Examples, parts: Mapping[str, Array], most: int = 30) -> str:
    """Counts a class (row) and part (column), as lines of text that start with a line break."""
    head = f"\n  {'class':<24}" + "".join(f"{part:>12}" for part in parts)
    lines = []
    if is_labels(examples.y):
        counts = {part: count_labels(examples.y[rows]) for part, rows in parts.items()}
        names = sorted({name for found in counts.values() for name in found})
        names.sort(key=lambda name: min(found.get(name, 0) for found in counts.values()))
        for name in names[:most]:
            lines.append(f"\n  {name[:24]:<24}" + "".join(f"{counts[part].get(name, 0):>12}" for part in parts))
        if len(names) > most:
            lines.append(f"\n  … and {len(names) - most} more classes")
    total = f"\n  {'all':<24}" + "".join(f"{len(rows):>12}" for rows in parts.values())
    return head + "".join(lines) + total


def count_labels(y: Array) -> dict[str, int]:
    """How many examples each label has, by the label as a word."""
    labels, counts = np.unique(y, return_counts=True)
    return {str(label): int(count) for label, count in zip(labels, counts, strict=True)}

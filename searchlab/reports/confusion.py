"""How well a classifier knows each class, and which classes it takes for which: numbers and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from searchlab.lazy import lazy
from searchlab.records import Confusion
from searchlab.reports.table import to_csv

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy("pandas")

CORNER = "true \\ predicted"
"""The head of the column that names the true classes."""


@dataclass(frozen=True)
class ClassScore:
    """How well one class is recognized; None where it has no examples, or is never predicted."""

    name: str
    examples: int
    precision: float | None
    """Of the examples that were taken for this class, the share that is of it."""
    recall: float | None
    """Of the examples of this class, the share that was taken for it."""
    f1: float | None
    """The harmonic mean of both; 0 for a class with examples of which none is recognized."""


@dataclass(frozen=True)
class Mistake:
    """How many examples of the class `true` were taken for the class `predicted`."""

    true: str
    predicted: str
    count: int
    share: float
    """Of all examples of the class `true`."""


def scores(confusion: Confusion) -> list[ClassScore]:
    """Each class, in the order of the classes."""
    predicted = [sum(column) for column in zip(*confusion.counts, strict=True)]
    return [
        ClassScore(
            name=name,
            examples=sum(row),
            precision=row[i] / predicted[i] if predicted[i] else None,
            recall=row[i] / sum(row) if sum(row) else None,
            f1=2 * row[i] / (sum(row) + predicted[i]) if sum(row) + predicted[i] else None,
        )
        for i, (name, row) in enumerate(zip(confusion.classes, confusion.counts, strict=True))
    ]


def mistakes(confusion: Confusion, most: int) -> list[Mistake]:
    """The `most` frequent ones, the most frequent first."""
    names = confusion.classes
    found = [
        Mistake(names[i], names[j], count, count / sum(row))
        for i, row in enumerate(confusion.counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(found, key=lambda mistake: -mistake.count)[:most]


def scores_csv(confusion: Confusion) -> str:
    """A line a class: class, examples, precision, recall, f1."""
    rows = [(one.name, one.examples, one.precision, one.recall, one.f1) for one in scores(confusion)]
    return to_csv(pd.DataFrame(rows, columns=["class", "examples", "precision", "recall", "f1"]))


def counts_csv(confusion: Confusion) -> str:
    """A line for each true class, a column for each that is predicted."""
    rows = [(name, *row) for name, row in zip(confusion.classes, confusion.counts, strict=True)]
    return to_csv(pd.DataFrame(rows, columns=[CORNER, *confusion.classes]))

"""Trials that differ in nothing that was measured: a sign of a fault in the data or the space, not of equal networks.

A network that predicts one class for everything, or the mean, scores the same whatever its parameters are.  Why equal
values alone are not enough: an accuracy on 360 examples takes few values, and good networks share one by chance.  So
they count where the objective also stayed the same from epoch to epoch, or where every validation metric is equal to
the last digit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from searchlab.records import TrialRecord

MANY = 5
"""So many trials with the same value are no chance."""


@dataclass(frozen=True)
class Same:
    """Trials with one value."""

    value: float
    count: int
    of: int
    """How many trials have a value."""


class Tally:
    """Counts trials that are the same, as they end."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[object, ...]] = Counter()

    @property
    def total(self) -> int:
        """How many trials have a value."""
        return self._counts.total()

    def take(self, record: TrialRecord) -> Same | None:
        """One more trial; the group that it is in, where that has MANY."""
        if record.value is None or record.result is None or record.state != "complete":
            return None
        key = _key(record.value, record)
        self._counts[key] += 1
        return Same(record.value, self._counts[key], self.total) if self._counts[key] >= MANY else None


def largest(records: Iterable[TrialRecord]) -> Same | None:
    """The largest group of complete trials that are the same; None below MANY."""
    tally = Tally()
    groups = [found for record in records if (found := tally.take(record)) is not None]
    best = max(groups, key=lambda group: group.count, default=None)
    return None if best is None else replace(best, of=tally.total)


def _key(value: float, record: TrialRecord) -> tuple[object, ...]:
    """What is equal in trials that are the same: a curve that does not move, or else all that was measured."""
    if len(record.curve) > 1 and len(set(record.curve.values())) == 1:
        return (value,)
    assert record.result is not None
    return (value, *sorted((name, one) for name, one in record.result.metrics.items() if name.startswith("val_")))


def warning(metric: str, same: Same) -> str:
    """The sentence for people."""
    return (
        f"Warning: {same.count} of {same.of} trials have the very same {metric} ({same.value:.6g}) and differ in "
        "nothing that was measured, as networks do that predict the same for every example. Look at the labels, the "
        "scaling of the inputs and the range of the learning rate; if the score is perfect, whether a column tells the "
        "answer."
    )

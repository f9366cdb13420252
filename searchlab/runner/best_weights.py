"""The weights of the best trials stay on the disk; all others go."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from searchlab.records import Direction, TrialRecord


class BestWeights:
    """Which files of weights are kept, as trials end."""

    def __init__(self, count: int, direction: Direction) -> None:
        self._count = max(1, count)
        self._direction = direction
        self._kept: list[tuple[float, int, Path]] = []
        """The value, the number of the trial (of equals the earliest is the best, as `best_of` has it) and the file."""

    def remember(self, records: Iterable[TrialRecord]) -> None:
        """Count the weights of earlier trials among those to keep."""
        for record in records:
            if record.state == "complete" and record.value is not None and record.result and record.result.weights:
                self._kept.append((record.value, record.trial.number, Path(record.result.weights)))

    def take(self, record: TrialRecord) -> None:
        """Keep the weights of a trial that has ended, or remove them, or those that it beats."""
        if record.result is None or record.result.weights is None:
            return
        path = Path(record.result.weights)
        if record.state != "complete" or record.value is None:
            path.unlink(missing_ok=True)
            return
        self._kept.append((record.value, record.trial.number, path))
        self._sort()
        for _, _, surplus in self._kept[self._count :]:
            surplus.unlink(missing_ok=True)
        del self._kept[self._count :]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files to keep, the best first."""
        self._sort()
        return tuple(path for _, _, path in self._kept[: self._count])

    def _sort(self) -> None:
        sign = -1 if self._direction == "maximize" else 1
        self._kept.sort(key=lambda kept: (sign * kept[0], kept[1]))

"""How long children may be silent, and how large they may grow.  Time is that of this process's own clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

SLOWEST = 10.0
"""A child may be silent for so many times the longest epoch of the study."""

GROWTH = 1536 << 20
"""Bytes that a child may gain after its first job; programs that are kept for its shapes take up to half of that."""


class Patience:
    """Notes when each child was last heard, and how large it was at first."""

    def __init__(self, limit: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`limit`: seconds that a child may be silent, whatever its epochs take."""
        self._limit = limit
        self._clock = clock
        self._longest = 0.0
        self._heard: dict[int, float] = {}
        self._first_size: dict[int, int] = {}

    def heard(self, slot: int) -> None:
        """The child in `slot` was given something to do, or has said something."""
        self._heard[slot] = self._clock()

    def epoch(self, seconds: float) -> None:
        """An epoch took so long."""
        self._longest = max(self._longest, seconds)

    def rests(self, slot: int) -> None:
        """Nothing is expected of the child in `slot`."""
        self._heard.pop(slot, None)

    def excuse(self, seconds: float) -> None:
        """Nobody has listened for so long: what children said meanwhile is heard only now."""
        self._heard = {slot: heard + seconds for slot, heard in self._heard.items()}

    def is_new(self, slot: int) -> None:
        """Another child is in `slot`; it has to load its libraries."""
        self._first_size.pop(slot, None)
        self.heard(slot)

    @property
    def limit(self) -> float:
        """Seconds that a child may be silent."""
        return max(self._limit, SLOWEST * self._longest)

    def silence(self, slot: int) -> float:
        """Seconds since the child in `slot` was heard; 0 for one that rests."""
        return self._clock() - self._heard[slot] if slot in self._heard else 0.0

    def stalled(self) -> Iterator[int]:
        """The slots whose children have been silent for too long."""
        return (slot for slot in sorted(self._heard) if self.silence(slot) > self.limit)

    def has_grown(self, slot: int, size: int) -> bool:
        """Whether the child in `slot`, now of `size` bytes, shall make room for another one."""
        first = self._first_size.setdefault(slot, size)
        return size > 2 * first and size - first > GROWTH

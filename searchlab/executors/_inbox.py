"""What the children of a pool have sent, in order of arrival; words of a child that was replaced are dropped."""

from __future__ import annotations

import queue
from pathlib import Path

from searchlab.executors import Death, Message

TAIL = 4096
"""Bytes of a log that a `Death` shows."""


class Inbox:
    """A queue that child threads fill, each through its own door, and the supervisor empties."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Door, Message | Death]] = queue.SimpleQueue()

    def door(self) -> Door:
        """A way in for one child."""
        return Door(self._waiting)

    def take(self, timeout: float) -> list[Message | Death]:
        """Everything that is there, waiting at most `timeout` seconds for the first."""
        taken: list[Message | Death] = []
        while True:
            try:
                door, item = self._waiting.get(timeout=0.0 if taken else max(0.0, timeout))
            except queue.Empty:
                return taken
            if door.is_open:
                taken.append(item)


class Door:
    """One child's way into an inbox; what came through a door is forgotten when it shuts."""

    def __init__(self, waiting: queue.SimpleQueue[tuple[Door, Message | Death]]) -> None:
        self._waiting = waiting
        self.is_open = True

    def put(self, item: Message | Death) -> None:
        """Hand `item` in."""
        self._waiting.put((self, item))

    def shut(self) -> None:
        """Forget what came and what may still come."""
        self.is_open = False


def tail(log: Path, start: int = 0) -> str:
    """The end of `log`, nothing from before byte `start`; empty when there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, file.seek(0, 2) - TAIL))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""

"""Where children live.  An executor starts processes and carries messages; it knows nothing of learning.

A child runs `entry` ("package.module:function"), called with its end of the channel and the `setup` mapping.
The entry's module may have a function `load()`, for what one process can load and hand down to all children.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from searchlab.catalog import Catalog


@dataclass(frozen=True)
class Slot:
    """A place for one child: its number, and the environment that pins it to cores and devices."""

    number: int
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """Something a child sent."""

    slot: int
    content: Any


@dataclass(frozen=True)
class Death:
    """A child that ended, and why: "exit status 1", "signal SIGKILL (out of memory?)", with the end of its log."""

    slot: int
    reason: str
    log_tail: str = ""


class Channel(Protocol):
    """A child's end: plain picklable objects both ways."""

    def send(self, content: Any) -> None:
        """Send to the supervisor."""

    def receive(self) -> Any:
        """Wait for the next message; raises EOFError when the supervisor is gone or has closed the channel."""

    def has_mail(self) -> bool:
        """Whether `receive` would return, or raise, at once."""


class Pool(Protocol):
    """The children of one supervisor."""

    def send(self, slot: int, content: Any) -> None:
        """Send to the child in `slot`.

        Raises:
            BrokenPipeError: That child is gone; its `Death` comes with the next `wait`.
        """

    def wait(self, timeout: float) -> list[Message | Death]:
        """What has arrived, in order, waiting at most `timeout` seconds for the first; empty when nothing did."""

    def kill(self, slot: int, reason: str) -> None:
        """Kill the child in `slot`, which first writes down where it is; its `Death` with this `reason` follows.

        Where children cannot be killed (threads), nothing happens.
        """

    def restart(self, slot: int) -> None:
        """End the child in `slot`, if it lives, and start a fresh one."""

    def close(self) -> None:
        """End all children; returns when none is left."""


class Executor(Protocol):
    """A way to have children.  A file in `executors/` binds one to `EXECUTOR`."""

    def open(self, slots: Sequence[Slot], *, entry: str, setup: Mapping[str, Any], log_folder: str) -> Pool:
        """Start one child in every slot; what they print goes to `log_folder/child-N.log`."""


EXECUTORS: Catalog[Executor] = Catalog("searchlab.executors", binds="EXECUTOR", kind="executor")

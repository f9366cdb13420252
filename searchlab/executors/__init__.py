"""Where children live.  An executor starts processes and carries messages; it knows nothing of learning.

A child runs `entry` ("package.module:function"), called with its end of the channel and the `setup` mapping.
The entry's module may have a function `load()`, for what one process can load and hand down to all children.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from searchlab.catalog import Catalog


@dataclass(frozen=True)
class Slot:
    """A place for one child: its number, and the environment that pins it to cores and devices."""

    number: int
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: float = 1.0
    """Cores that a cluster sets aside for it."""
    gpus: float = 0.0
    """GPUs that a cluster sets aside for it: a whole number, or a part of one."""


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
    is_node_loss: bool = False
    """Its machine is gone, with all that lived there: nobody's fault."""

    ended_with: int | None = None
    """The number of the process whose end was this child's too, as it was that of others: one death, told by each."""


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
        """What has arrived, in order, waiting at most `timeout` seconds for the first; empty when nothing did.

        Raises:
            ServiceError: There can be no children any more (of a cluster that is out of reach).
        """

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


@dataclass(frozen=True)
class Node:
    """A machine of a cluster, and what it has for children."""

    name: str
    cpus: float
    gpus: float
    memory: int
    """Bytes."""


class Cluster(Executor, Protocol):
    """Machines that were joined: an executor that knows what it has."""

    nodes: tuple[Node, ...]

    def leave(self) -> None:
        """Let go of it, where no pool was opened; closing the pool does the same."""


@runtime_checkable
class Clustered(Protocol):
    """What an executor offers too whose children live on several machines."""

    def join(self, address: str, *, log_folder: str) -> Cluster:
        """Join the cluster at `address` (HOST:PORT, or "auto": the one that this machine belongs to).

        Raises:
            MissingExtra: The library for it is not installed.
            ServiceError: There is no such cluster, or it does not let us in.
        """


EXECUTORS: Catalog[Executor] = Catalog("searchlab.executors", binds="EXECUTOR", kind="executor")

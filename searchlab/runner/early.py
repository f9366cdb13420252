"""Children that are started before it is known what for: they load Keras while the supervisor reads the data.

A study's fixed cost is mostly imports: three to five seconds of Keras, as much of Optuna and MLflow in the supervisor.
So the children come first, load Keras, and wait; their `Setup` follows once the data is prepared.  Where they can be
forked, Keras is loaded once for all of them (`executors/_fork_server.py`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from searchlab.errors import ServiceError
from searchlab.executors import Channel, Death, Executor, Message, Pool, Slot
from searchlab.lazy import absent
from searchlab.runner import child
from searchlab.runner.messages import Finish, Finished, Idle, Job, Ready, Setup

ENTRY = "searchlab.runner.early:main"
"""The `entry` that an executor starts."""


def load() -> None:
    """Load Keras; what children are forked from does it for all of them."""
    with absent("sklearn"), absent("matplotlib"), absent("pandas"):  # Keras offers wrappers for them
        from searchlab.training import runtime  # noqa: F401


def main(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Load Keras, wait for the `Setup`, and be a child (see `child.main`)."""
    load()
    try:
        given = channel.receive()
    except EOFError:
        return
    child.main(channel, given)


class Children:
    """A `Pool` whose children get their `Setup` later than their lives; it also knows who has nothing to do."""

    def __init__(self, executor: Executor, slots: Sequence[Slot], log_folder: Path) -> None:
        self.slots = tuple(slots)
        self._setup: Setup | None = None
        self._idle: set[int] = set()
        self._loading = {slot.number for slot in self.slots}
        self._pool: Pool = executor.open(self.slots, entry=ENTRY, setup={}, log_folder=str(log_folder))

    def brief(self, setup: Setup) -> None:
        """Tell all of them what they are for."""
        self._setup = setup
        for slot in self._loading:
            self._brief(slot)

    def send(self, slot: int, content: Any) -> None:
        """See `Pool`."""
        if isinstance(content, Job):
            self._idle.discard(slot)
        self._pool.send(slot, content)

    def wait(self, timeout: float) -> list[Message | Death]:
        """See `Pool`."""
        items = self._pool.wait(timeout)
        for item in items:
            if isinstance(item, Death):
                self._idle.discard(item.slot)
                self._loading.discard(item.slot)
            elif isinstance(item.content, Ready | Idle):
                self._idle.add(item.slot)
                self._loading.discard(item.slot)
        return items

    def kill(self, slot: int, reason: str) -> None:
        """See `Pool`."""
        self._pool.kill(slot, reason)

    def restart(self, slot: int) -> None:
        """See `Pool`."""
        self._pool.restart(slot)
        self._loading.add(slot)
        self._brief(slot)

    def close(self) -> None:
        """See `Pool`."""
        self._idle.clear()
        self._loading.clear()
        self._pool.close()

    def ask(self, order: Finish) -> int | None:
        """Have a child that has nothing to do make a model; its slot, for `answer`, or None when there is no such.

        Waits for the first child while all are still loading Keras.
        """
        with contextlib.suppress(ServiceError):  # there will be none
            while self._loading and not self._idle:
                self.wait(1.0)
        for slot in sorted(self._idle):
            with contextlib.suppress(BrokenPipeError):
                self._pool.send(slot, order)
                self._idle.discard(slot)
                return slot
        return None

    def answer(self, slot: int, timeout: float) -> Finished | None:
        """What the child in `slot` made; None when it died, or is not done after `timeout` seconds."""
        end = time.monotonic() + timeout
        with contextlib.suppress(ServiceError):  # its cluster is out of reach
            while (left := end - time.monotonic()) > 0:
                for item in self.wait(left):
                    if item.slot == slot and isinstance(item, Death):
                        return None
                    if item.slot == slot and isinstance(item, Message) and isinstance(item.content, Finished):
                        return item.content
        return None

    def _brief(self, slot: int) -> None:
        if self._setup is not None:
            with contextlib.suppress(BrokenPipeError):  # its Death comes with the next wait
                self._pool.send(slot, self._setup)

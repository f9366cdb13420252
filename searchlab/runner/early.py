"""Children that are started before it is known what for: they load Keras while the supervisor reads the data.

A study's fixed cost is mostly imports: three to five seconds of Keras in each child, as much of Optuna and MLflow in
the supervisor.  So the children come first, load Keras, and wait; their `Setup` follows once the data is prepared.

Why not all of them at once: on two cores two children and the supervisor load in 12 s, one child and the supervisor in
8 s, and a study of small networks is over in a few seconds more.  Where cores are short, the others are started once it
shows that the work left is worth their start.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchlab import devices
from searchlab.executors import EXECUTORS, Channel, Death, Message, Pool, Slot
from searchlab.lazy import absent
from searchlab.runner import child
from searchlab.runner.messages import Finish, Finished, Idle, Job, Ready, Setup

ENTRY = "searchlab.runner.early:main"
"""The `entry` that an executor starts."""

START = 8.0
"""Seconds that a further child takes to load Keras and to trace its first shape, about, on cores that others use."""


def main(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Load Keras, wait for the `Setup`, and be a child (see `child.main`)."""
    with absent("sklearn"):  # Keras offers wrappers for it
        from searchlab.training import runtime  # noqa: F401  loads Keras
    try:
        given = channel.receive()
    except EOFError:
        return
    child.main(channel, given)


class Children:
    """A `Pool` whose children get their `Setup` later than their lives; it also knows who has nothing to do."""

    def __init__(self, executor: str, slots: Sequence[Slot], log_folder: Path) -> None:
        self.slots = tuple(slots)
        first = _at_first(executor, self.slots)
        self._later = self.slots[first:]
        self._setup: Setup | None = None
        self._idle: set[int] = set()
        self._loading = {slot.number for slot in self.slots[:first]}
        self._work = _Work()
        self._pool: Pool = EXECUTORS.get(executor).open(
            self.slots[:first], entry=ENTRY, setup={}, log_folder=str(log_folder)
        )

    def brief(self, setup: Setup, *, trials: int = 0) -> None:
        """Tell all of them what they are for; `trials` are to be trained."""
        self._setup = setup
        self._work.trials = trials
        for slot in self._loading:
            self._brief(slot)

    def send(self, slot: int, content: Any) -> None:
        """See `Pool`."""
        if isinstance(content, Job):
            self._idle.discard(slot)
            self._work.begins(slot, len(content.cohort.trials))
        self._pool.send(slot, content)

    def wait(self, timeout: float) -> list[Message | Death]:
        """See `Pool`."""
        items = self._pool.wait(timeout)
        for item in items:
            if isinstance(item, Death):
                self._idle.discard(item.slot)
                self._loading.discard(item.slot)
                self._work.ends(item.slot)
            elif isinstance(item.content, Ready | Idle):
                self._idle.add(item.slot)
                self._loading.discard(item.slot)
                self._work.ends(item.slot)
        if self._later and self._work.is_worth_more_children():
            later, self._later = self._later, ()
            for slot in later:
                self.start(slot)
        return items

    def start(self, slot: Slot) -> None:
        """See `Pool`."""
        self._pool.start(slot)
        self._loading.add(slot.number)
        self._brief(slot.number)

    def restart(self, slot: int) -> None:
        """See `Pool`."""
        self._pool.restart(slot)
        self._loading.add(slot)
        self._brief(slot)

    def close(self) -> None:
        """See `Pool`."""
        self._idle.clear()
        self._loading.clear()
        self._later = ()
        self._pool.close()

    def ask(self, order: Finish) -> int | None:
        """Have a child that has nothing to do make a model; its slot, for `answer`, or None when there is no such.

        Waits for the first child while all are still loading Keras.
        """
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


@dataclass
class _Work:
    """How long trials take, and how many are left."""

    trials: int = 0

    def __post_init__(self) -> None:
        self._under_way: dict[int, tuple[float, int]] = {}
        self._jobs = 0
        self._quickest = float("inf")

    def begins(self, slot: int, trials: int) -> None:
        """The child in `slot` was given so many trials."""
        self._under_way[slot] = (time.monotonic(), trials)

    def ends(self, slot: int) -> None:
        """The child in `slot` has done what it was given, if anything."""
        if slot in self._under_way:
            begun, trials = self._under_way.pop(slot)
            self.trials -= trials
            self._jobs += 1
            self._quickest = min(self._quickest, (time.monotonic() - begun) / trials)

    def is_worth_more_children(self) -> bool:
        """Whether what is left takes longer than a start; the first job, which traces, does not count alone."""
        longest = max((time.monotonic() - begun for begun, _ in self._under_way.values()), default=0.0)
        return longest > START or (self._jobs > 1 and self.trials * self._quickest > START)


def _at_first(executor: str, slots: Sequence[Slot]) -> int:
    """How many children to start at once: all, but for processes on the CPU where cores are short."""
    on_cpu = all(slot.environment.get("CUDA_VISIBLE_DEVICES", "-1") == "-1" for slot in slots)
    return max(1, devices.cores() // 2) if executor == "local" and on_cpu else len(slots)

"""Children as threads of this process: for tests, debuggers and notebooks, not for speed.

Why threads and not plain calls: the supervisor must be able to wait with a timeout while a child trains, exactly as
with processes.  Everything sent is pickled and rebuilt, so what works here works across processes too.  The
environment of a slot is ignored, since it would change this process.  A thread cannot be killed: `restart` and
`close` take its channel away and wait until it next wants to use it (at the latest when its epoch ends).
"""

from __future__ import annotations

import pickle
import queue
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from searchlab.executors import Death, Message, Pool, Slot
from searchlab.executors._entry import find
from searchlab.executors._inbox import Door, Inbox, tail

_CLOSED = object()


class _Child:
    """One thread, and its end of the channel."""

    def __init__(self, slot: int, entry: str, setup: Mapping[str, Any], log: Path, door: Door) -> None:
        self._slot = slot
        self._entry = entry
        self._setup = pickle.dumps(dict(setup))
        self._log = log
        self._door = door
        self._letters: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"searchlab-child-{slot}", daemon=True)
        self._thread.start()

    def send(self, content: Any) -> None:
        """The child's `Channel.send`."""
        if self._closed.is_set():
            raise EOFError("the supervisor closed the channel")
        self._door.put(Message(self._slot, pickle.loads(pickle.dumps(content))))

    def receive(self) -> Any:
        """The child's `Channel.receive`."""
        letter = self._letters.get()
        if letter is _CLOSED:
            self._letters.put(_CLOSED)  # for whoever asks again
            raise EOFError("the supervisor closed the channel")
        return pickle.loads(letter)

    def has_mail(self) -> bool:
        """The child's `Channel.has_mail`."""
        return not self._letters.empty()

    def hand(self, content: Any) -> None:
        """The supervisor's side of `receive`."""
        if not self._thread.is_alive():
            raise BrokenPipeError(f"child {self._slot} is gone")
        self._letters.put(pickle.dumps(content))

    def end(self) -> None:
        """Take the channel away and wait for the thread; nothing it says any more is heard."""
        self._door.shut()
        self._closed.set()
        self._letters.put(_CLOSED)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        start = self._log.stat().st_size if self._log.exists() else 0
        reason = "exit status 0"
        try:
            find(self._entry)(self, pickle.loads(self._setup))
        except BaseException as error:
            if not (isinstance(error, EOFError) and self._closed.is_set()):
                reason = f"exit status 1 ({type(error).__name__}: {error})"
                with self._log.open("a", encoding="utf-8") as file:
                    file.write(traceback.format_exc())
        self._door.put(Death(self._slot, reason, tail(self._log, start)))


class _Threads:
    """A `Pool` of threads."""

    def __init__(self, slots: Sequence[Slot], entry: str, setup: Mapping[str, Any], log_folder: str) -> None:
        self._entry = entry
        self._setup = setup
        self._folder = Path(log_folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._inbox = Inbox()
        self._children = {slot.number: self._start(slot.number) for slot in slots}

    def send(self, slot: int, content: Any) -> None:
        """See `Pool`."""
        self._children[slot].hand(content)

    def wait(self, timeout: float) -> list[Message | Death]:
        """See `Pool`."""
        return self._inbox.take(timeout)

    def kill(self, slot: int, reason: str) -> None:
        """See `Pool`; a thread cannot be killed."""

    def restart(self, slot: int) -> None:
        """See `Pool`."""
        self._children[slot].end()
        self._children[slot] = self._start(slot)

    def close(self) -> None:
        """See `Pool`."""
        for child in self._children.values():
            child.end()

    def _start(self, slot: int) -> _Child:
        return _Child(slot, self._entry, self._setup, self._folder / f"child-{slot}.log", self._inbox.door())


class Inline:
    """Children as threads of this process."""

    def open(self, slots: Sequence[Slot], *, entry: str, setup: Mapping[str, Any], log_folder: str) -> Pool:
        """See `Executor`."""
        return _Threads(slots, entry, setup, log_folder)


EXECUTOR = Inline()

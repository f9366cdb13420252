"""Children as processes of this machine: each can crash, hang or be killed without harm to anybody else.

Why not `multiprocessing` (spawn): it imports the caller's main module again, so it needs a main guard in scripts and
fails in notebooks; fork copies a process that may hold TensorFlow and threads.  A plain `python -m` over an inherited
socket works everywhere POSIX, and the two ends still speak pickled objects (`multiprocessing.connection`).  Where it is
safe, a process of ours that has loaded the libraries and nothing else forks the children (`_fork_server.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Hashable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from searchlab.executors import Death, Message, Pool, Slot
from searchlab.executors._forked import ForkServer, can_fork
from searchlab.executors._inbox import Door, Inbox, tail
from searchlab.executors._spawned import WHERE, Process, Spawned

CHILD = "searchlab.executors._child_process"

DUMP = 0.3
"""Seconds that a child has for writing down where it is, before it is killed."""

LOOK = 0.5
"""Seconds between looks at a silent child: its end may show only there, when a process of its own holds the socket."""


class Child:
    """One process, and the thread that hears it."""

    def __init__(self, slot: Slot, first: Mapping[str, Any], log: Path, door: Door, server: ForkServer | None) -> None:
        self._slot = slot.number
        self._log = log
        self._door = door
        self._begins = log.stat().st_size if log.exists() else 0
        self._why = ""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process: Process = (
                server.fork(theirs, log) if server else Spawned(CHILD, slot.environment, theirs, log)
            )
        self._connection: Connection[Any, Any] = Connection(ours.detach())
        own_path = slot.environment.get("PYTHONPATH", os.environ.get("PYTHONPATH"))
        with contextlib.suppress(BrokenPipeError):  # its death is heard below
            self._connection.send({**first, "python_path": own_path})
        self._thread = threading.Thread(target=self._listen, name=f"searchlab-child-{self._slot}", daemon=True)
        self._thread.start()

    def hand(self, content: Any) -> None:
        """Send to the child; BrokenPipeError when it is gone."""
        try:
            self._connection.send(content)
        except OSError as error:
            raise BrokenPipeError(f"child {self._slot} is gone") from error

    def kill(self, reason: str) -> None:
        """Kill the child, which first writes into its log where it is; its death is heard like any other."""
        self._why = reason
        self._process.signal(WHERE)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(DUMP)
        self._process.kill()

    def end(self) -> None:
        """Kill the child and all it started; nothing it says any more is heard."""
        self._door.shut()
        if self._process.poll() is None:  # else its number may belong to somebody else by now
            self._process.kill()
        self._process.wait()
        self._thread.join()
        self._connection.close()

    def _listen(self) -> None:
        """Pass on what the child says, until it ends."""
        trouble = ""
        try:
            while self._connection.poll(LOOK) or self._process.poll() is None:
                if self._connection.poll(0):
                    self._door.put(Message(self._slot, self._connection.recv()))
        except (EOFError, OSError):
            pass
        except Exception as error:  # an object that cannot be rebuilt here
            trouble = f", after a message that cannot be read ({type(error).__name__}: {error})"
            self._process.kill()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            trouble += ", after it had closed its channel"
        self._process.kill()  # what it started, should that live still
        status = self._process.wait()
        reason = self._why or _words(status) + trouble + self._process.trouble
        ended_with = self._process.ended_with
        self._door.put(Death(self._slot, reason, tail(self._log, self._begins), ended_with=ended_with))


def _words(status: int) -> str:
    """How a process ended, for people."""
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    return f"signal {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


class _Processes:
    """A `Pool` of processes."""

    def __init__(self, slots: Sequence[Slot], entry: str, setup: Mapping[str, Any], log_folder: str) -> None:
        self._slots = {slot.number: slot for slot in slots}
        self._entry = entry
        self._setup = setup
        self._folder = Path(log_folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._inbox = Inbox()
        self._children: dict[int, Child] = {}
        self._servers: dict[Hashable, ForkServer] = {}
        try:
            for number in self._slots:
                self._children[number] = self._start(number)
        except BaseException:
            self.close()
            raise

    def send(self, slot: int, content: Any) -> None:
        """See `Pool`."""
        self._children[slot].hand(content)

    def wait(self, timeout: float) -> list[Message | Death]:
        """See `Pool`."""
        return self._inbox.take(timeout)

    def kill(self, slot: int, reason: str) -> None:
        """See `Pool`."""
        self._children[slot].kill(reason)

    def restart(self, slot: int) -> None:
        """See `Pool`."""
        self._children.pop(slot).end()
        self._children[slot] = self._start(slot)

    def close(self) -> None:
        """See `Pool`."""
        while self._servers:
            self._servers.popitem()[1].close()
        while self._children:
            self._children.popitem()[1].end()

    def _start(self, number: int) -> Child:
        slot = self._slots[number]
        self._folder.mkdir(parents=True, exist_ok=True)  # somebody may have removed it
        server = self._server(slot) if can_fork(slot.environment) else None
        first = {"entry": self._entry, "setup": dict(self._setup)}
        return Child(slot, first, self._folder / f"child-{number}.log", self._inbox.door(), server)

    def _server(self, slot: Slot) -> ForkServer:
        """The process that forks children like that of `slot`."""
        key = frozenset(slot.environment.items())
        server = self._servers.get(key)
        if server is None or server.is_over:
            if server is not None:
                server.close()
            log = self._folder / "fork-server.log"
            self._servers[key] = server = ForkServer(self._entry, slot.environment, log)
        return server


class Local:
    """Children as processes of this machine."""

    def open(self, slots: Sequence[Slot], *, entry: str, setup: Mapping[str, Any], log_folder: str) -> Pool:
        """See `Executor`."""
        return _Processes(slots, entry, setup, log_folder)


EXECUTOR = Local()

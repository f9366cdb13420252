"""The supervisor's side of a fork server: orders go out, births and deaths come back."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from searchlab.executors._inbox import tail
from searchlab.executors._orders import LETTER, Born, Ended, Order
from searchlab.executors._spawned import Spawned

BURIAL = 5.0
"""Seconds that a fork server has for reporting the end of a child that was killed."""


class Forked:
    """A child that a fork server makes or has made; a `Process`."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._status: int | None = None
        self._is_unwanted = False
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.trouble = ""
        """What happened to the fork server, if it is that."""
        self.ended_with: int | None = None
        """The number of the fork server, if its end was this child's."""

    @property
    def is_born(self) -> bool:
        """Whether there is, or was, such a process."""
        return self._number is not None

    def poll(self) -> int | None:
        """The exit status, or None."""
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status."""
        if not self._over.wait(timeout):
            raise subprocess.TimeoutExpired("a forked child", timeout or 0.0)
        assert self._status is not None
        return self._status

    def signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        with self._lock:
            if self._number is not None and self._status is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(self._number, number)

    def kill(self) -> None:
        """Kill it and all it started; one that is not born yet is killed at its birth."""
        with self._lock:
            self._is_unwanted = True
            if self._number is not None and self._status is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._number, signal.SIGKILL)

    def born(self, number: int) -> None:
        """It lives."""
        with self._lock:
            self._number = number
        if self._is_unwanted:
            self.kill()

    def ended(self, status: int, trouble: str = "", ended_with: int | None = None) -> None:
        """It lives no more."""
        with self._lock:
            if self._status is None:
                self._status, self.trouble, self.ended_with = status, trouble, ended_with
        self._over.set()


class ForkServer:
    """A process that forks children of one entry, and the thread that hears it."""

    def __init__(self, entry: str, environment: Mapping[str, str], log: Path) -> None:
        self._children: dict[int, Forked] = {}
        self._lock = threading.Lock()
        self._log = log
        self._count = 0
        self._is_over = False
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log.unlink(missing_ok=True)
        with theirs:
            self._process = Spawned("searchlab.executors._fork_server", environment, theirs, log)
        with contextlib.suppress(OSError):  # its end is heard below
            self._control.send(entry.encode())
        self._thread = threading.Thread(target=self._listen, name="searchlab-fork-server", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it can fork no more."""
        return self._is_over

    def fork(self, channel: socket.socket, log: Path) -> Forked:
        """A child whose end of the channel is `channel`; it is born once the libraries are loaded."""
        child = Forked()
        with self._lock:
            key = self._count = self._count + 1
            self._children[key] = child
            over = self._is_over
        try:
            socket.send_fds(self._control, [pickle.dumps(Order(key, str(log)))], [channel.fileno()])
        except OSError:
            over = True
        if over:
            self._ends(child)
        return child

    def close(self) -> None:
        """End it and all children; none is left when this returns."""
        children = tuple(self._children.values())
        for child in children:
            child.kill()
        for child in children:
            if child.is_born:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(BURIAL)
        self._process.kill()
        self._process.wait()
        self._thread.join()
        self._control.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while letter := self._control.recv(LETTER):
                match pickle.loads(letter):
                    case Born(key, number):
                        self._children[key].born(number)
                    case Ended(key, status):
                        self._children.pop(key).ended(status)
        self._process.wait()
        with self._lock:
            self._is_over = True
            left = tuple(self._children.values())
        for child in left:
            child.kill()
            self._ends(child)

    def _ends(self, child: Forked) -> None:
        """The server's end is the child's."""
        words = f", since the process that forks children ended\n{tail(self._log)}".rstrip()
        child.ended(-signal.SIGKILL, words, self._process.pid)


def can_fork(environment: Mapping[str, str]) -> bool:
    """Whether children with this environment may be forked: on Linux, for work on the CPU.

    macOS's own libraries do not survive a fork; with GPUs it was not tried.
    """
    return sys.platform == "linux" and environment.get("CUDA_VISIBLE_DEVICES") == "-1"

"""The other end of the `local` executor: `python -m searchlab.executors._child_process FD PARENT TIED`.

A child lives no longer than its supervisor.  A thread of its own reads the channel, so that the end of the supervisor
is noticed in the middle of training too; on Linux the kernel is asked for the same, which works even while native
code holds the interpreter's lock.  SIGINT is ignored: Ctrl-C is the supervisor's business.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import io
import os
import queue
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from searchlab import lazy
from searchlab.executors._entry import find
from searchlab.executors._spawned import WHERE

GRACE = 1.0
"""Seconds that a child has for leaving by itself once its supervisor is gone."""

_CLOSED = object()
_PR_SET_PDEATHSIG = 1


class _Wire:
    """The child's `Channel`, on a socket that it inherited."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._connection: Connection[Any, Any] = Connection(descriptor)
        self._letters: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._sending = threading.Lock()
        threading.Thread(target=self._read, name="searchlab-channel", daemon=True).start()

    def send(self, content: Any) -> None:
        """Send to the supervisor."""
        with self._sending:
            self._connection.send(content)

    def receive(self) -> Any:
        """Wait for the next message; raises EOFError when there will be none."""
        letter = self._letters.get()
        if letter is _CLOSED:
            self._letters.put(_CLOSED)  # for whoever asks again
            raise EOFError("the supervisor is gone")
        return letter

    def has_mail(self) -> bool:
        """Whether `receive` would return at once."""
        return not self._letters.empty()

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._letters.put(self._connection.recv())
        self._letters.put(_CLOSED)
        time.sleep(GRACE)
        _end_everything()


class _Careless(io.FileIO):
    """A log whose disk may be full: what it does not take is lost, and not the training that said it."""

    def write(self, content: Any) -> int:
        """Write as much as there is room for, and call it all."""
        with contextlib.suppress(OSError):
            super().write(content)
        return memoryview(content).nbytes


def _careless(number: int) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(_Careless(number, "w", closefd=False))
    return io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _end_everything() -> None:
    """End this process at once, and those that it started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when the thread that started it ends (Linux; elsewhere the reader serves)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            _end_everything()


def main(descriptor: int, parent: int, tied: bool) -> None:
    """Serve one supervisor, whose process is `parent`; `tied`: the thread that started us lives as long as it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()  # a segfault leaves the Python stack in the log
    faulthandler.register(WHERE, all_threads=True)  # so does this signal, even while native code holds the interpreter
    if tied:
        die_with(parent)
    os.environ.pop("PYTHONPATH", None)
    sys.stdout, sys.stderr = (_careless(descriptor) for descriptor in (1, 2))
    lazy.alone()
    wire = _Wire(descriptor)
    with contextlib.suppress(EOFError):
        given: dict[str, Any] = wire.receive()
        if given["python_path"] is not None:
            os.environ["PYTHONPATH"] = given["python_path"]
        find(given["entry"])(wire, given["setup"])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "1")

"""A process that loads an entry's libraries once and forks children: seconds of imports are spent once, not per child.

    python -m searchlab.executors._fork_server FD PARENT TIED

It imports the entry's module, calls the `load` of that module where there is one, and then forks a child for every
order: a child costs 10 to 20 ms then, where importing Keras and TensorFlow costs 5 s of processor time.

Why not `multiprocessing`'s fork server: it imports the caller's main module again (see `local.py`).  What makes a fork
safe here: this process has one thread, has run no operation (so the frameworks have no thread pools and no device), and
never trains.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import pickle
import select
import signal
import socket
import sys
import traceback
from dataclasses import dataclass, field
from typing import Any

from searchlab import lazy
from searchlab.executors import _child_process
from searchlab.executors._orders import LETTER, Born, Ended, Order


@dataclass
class _Server:
    control: socket.socket
    keys: dict[int, int] = field(default_factory=dict)
    """Of living children, by process number."""

    def serve(self) -> None:
        """Fork and bury, until the supervisor is gone."""
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        while True:
            ready, _, _ = select.select([self.control, woken], [], [])
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    woken.recv(LETTER)
                self._bury()
            if self.control in ready:
                letter, descriptors, _, _ = socket.recv_fds(self.control, LETTER, 1)
                if not letter:
                    return
                self._fork(pickle.loads(letter), descriptors[0], (woken, waker))

    def _fork(self, order: Order, descriptor: int, own: tuple[socket.socket, ...]) -> None:
        server = os.getpid()
        number = os.fork()
        if number == 0:
            signal.set_wakeup_fd(-1)
            for end in (self.control, *own):
                end.close()
            _live(order, descriptor, server)
        os.close(descriptor)
        with contextlib.suppress(OSError):  # the child does the same: whoever is first
            os.setpgid(number, number)
        self.keys[number] = order.key
        self._say(Born(order.key, number))

    def _bury(self) -> None:
        """Report those that ended; what they started is killed while their numbers are still theirs."""
        while self.keys:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(found.si_pid, signal.SIGKILL)
            _, status = os.waitpid(found.si_pid, 0)
            self._say(Ended(self.keys.pop(found.si_pid), os.waitstatus_to_exitcode(status)))

    def _say(self, content: Any) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone, which the next round notices
            self.control.send(pickle.dumps(content))


def _live(order: Order, descriptor: int, server: int) -> None:
    """Be the child; does not return."""
    status = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        output = os.open(order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for target in (1, 2):
            os.dup2(output, target)
        _child_process.main(descriptor, server, tied=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _load(entry: str) -> None:
    """Load what the children will need; what fails here fails in the child again, which says so in its log."""
    with contextlib.suppress(Exception):
        module = importlib.import_module(entry.partition(":")[0])
        load = getattr(module, "load", None)
        if load is not None:
            load()
    gc.collect()
    gc.freeze()  # else the first collection of a child would copy every page


def main(descriptor: int, parent: int, tied: bool) -> None:
    """Serve one supervisor; see `_child_process.main`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    if tied:
        _child_process.die_with(parent)
    control = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    lazy.alone()
    _load(control.recv(LETTER).decode())
    _Server(control).serve()
    os.killpg(0, signal.SIGKILL)  # children notice it by themselves, as their kernel or their channel tells them


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "1")

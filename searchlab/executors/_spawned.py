"""A process of ours that is started by `python -m`, holding one end of a socket pair."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

WHERE = signal.SIGUSR1
"""The signal on which a child writes the stacks of its threads into its log."""


class Process(Protocol):
    """What a child needs of a `Spawned` or a `Forked`."""

    trouble: str
    """What befell it from outside, for people; mostly empty."""

    ended_with: int | None
    """The number of the process whose end was its own end too."""

    def poll(self) -> int | None:
        """The exit status, or None."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status."""

    def signal(self, number: int) -> None:
        """Send it a signal, if it lives."""

    def kill(self) -> None:
        """Kill it and all it started."""


class Spawned(subprocess.Popen[bytes]):
    """`python -m module FD PARENT TIED`; what it prints is added to `log`."""

    trouble = ""
    ended_with: int | None = None

    def __init__(self, module: str, environment: Mapping[str, str], channel: socket.socket, log: Path) -> None:
        tied = threading.current_thread() is threading.main_thread()
        arguments = [str(channel.fileno()), str(os.getpid()), str(int(tied))]
        python_path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)  # it sees the modules we see
        with log.open("ab") as output:
            super().__init__(
                [sys.executable, "-P", "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[channel.fileno()],
                env={**os.environ, **environment, "PYTHONPATH": python_path},
                process_group=0,  # a Ctrl-C in the terminal must reach the supervisor alone
            )

    def signal(self, number: int) -> None:
        """See `Process`."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self.send_signal(number)

    def kill(self) -> None:
        """See `Process`."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

"""A Ray cluster for tests: nodes on loopback addresses and free ports of this machine.  Not a test file."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent

needs_ray = pytest.mark.skipif(
    sys.platform != "linux" or importlib.util.find_spec("ray") is None,
    reason="Ray is not installed (pip install 'searchlab[ray]'), or loopback has one address here",
)

STORE = 80 << 20
"""Bytes of each node's object store, the least that Ray takes; searchlab needs none of it."""


class RayNode:
    """`ray start --block`, and all that it started."""

    def __init__(self, address: str, words: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.address = address
        self._log = log
        ports = ("dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")
        free = [word for name in ports for word in (f"--{name}-port", str(free_port(address)))]
        settings = ["--node-ip-address", address, "--object-store-memory", str(STORE), "--include-log-monitor", "false"]
        settings += ["--min-worker-port", "0", "--max-worker-port", "0"]  # free ones
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *words, *settings, *free],
                env={**os.environ, **environment},
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait(self, seconds: float = 60.0) -> None:
        """Until it is up."""
        deadline = time.monotonic() + seconds
        while "Ray runtime started" not in self._log.read_text(errors="replace"):
            is_late = time.monotonic() > deadline or self._process.poll() is not None
            assert not is_late, f"the node does not come up:\n{self._log.read_text(errors='replace')}"
            time.sleep(0.1)

    def processes(self) -> list[psutil.Process]:
        """All of it, children of searchlab among them."""
        try:
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def children(self) -> list[psutil.Process]:
        """The training processes on it."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if "searchlab.executors._child_process" in process.cmdline():
                    found.append(process)
        return found

    def kill(self) -> None:
        """SIGKILL, as when the power goes."""
        ended = self.processes()
        for process in ended:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(ended, timeout=10)
        self._process.wait(10)


class RayCluster:
    """A head, and nodes that come and go."""

    def __init__(self, cpus: int = 2, gpus: int = 0, **environment: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # paths of its sockets must be short
        self._hosts = itertools.count(2)  # 127.0.0.1 would be taken for another address
        path = os.pathsep.join([environment.pop("PYTHONPATH", ""), str(ROOT)]).strip(os.pathsep)
        self._keys = {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
        self._environment = {**self._keys, "PYTHONPATH": path, **environment}
        host = f"127.0.0.{next(self._hosts)}"
        self.address = f"{host}:{free_port(host)}"
        ports = [word for name in ("dashboard", "ray-client-server") for word in (f"--{name}-port", str(free_port()))]
        words = ["--head", "--port", self.address.rpartition(":")[2], "--temp-dir", str(self._folder)]
        self.nodes: list[RayNode] = []
        self.head = self._start(host, [*words, "--include-dashboard", "false", *ports], cpus, gpus)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs for joining it with the address "auto"."""
        return {**self._keys, "RAY_ADDRESS": self.address}

    def add(self, cpus: int = 2) -> RayNode:
        """Another node."""
        return self._start(f"127.0.0.{next(self._hosts)}", ["--address", self.address], cpus)

    def close(self) -> None:
        """End all of it."""
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, host: str, words: list[str], cpus: int, gpus: int = 0) -> RayNode:
        words = [*words, "--num-cpus", str(cpus), "--num-gpus", str(gpus)]
        self.nodes.append(RayNode(host, words, self._environment, self._folder / f"{host}.log"))
        try:
            self.nodes[-1].wait()
        except BaseException:
            self.close()
            raise
        return self.nodes[-1]


def free_port(host: str = "127.0.0.1") -> int:
    """A port of `host` that nobody has."""
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])

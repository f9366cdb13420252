"""A team on this machine: PostgreSQL, MLflow with passwords, an evaluator, workers, users.  Not a test file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import postgres

from benchmarks.mlflow_server import Server

ADMIN = ("admin", "the-admins-password")
WORKER = ("worker", "the-workers-password")


class Team:
    """All of it as processes; whoever makes one ends it by `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("mlflow", "logs", "data"):
            (folder / name).mkdir()
        self.storage = postgres.server().database(f"team_{os.getpid()}_{time.monotonic_ns()}")
        self.server = Server(folder / "mlflow", admin=ADMIN)
        self.server.start()
        self.server.wait()
        self.passwords: dict[str, str] = {}
        self._count = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self.evaluators: list[subprocess.Popen[bytes]] = []

    def evaluator(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the evaluator."""
        paths = {"SEARCHLAB_UPLOADS": str(self.folder / "uploads"), "SEARCHLAB_DATA": str(self.folder / "data")}
        worker = {"SEARCHLAB_WORKER_USER": WORKER[0], "SEARCHLAB_WORKER_PASSWORD": WORKER[1]}
        self.evaluators.append(self._start("evaluator", ADMIN, **paths, **worker, **environment))
        return self.evaluators[-1]

    def worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self._start("worker", WORKER, **environment)

    def user(self, name: str) -> None:
        """Make a user."""
        done = self.searchlab("admin", "stack", "user", "add", name)
        assert done.returncode == 0, done.stdout
        (line,) = (line for line in done.stdout.splitlines() if "PASSWORD=" in line)
        self.passwords[name] = line.partition("=")[2]

    def searchlab(self, user: str, *arguments: str, seconds: float = 240.0) -> subprocess.CompletedProcess[str]:
        """A command on a laptop of `user`, to its end."""
        return subprocess.run(self._command(*arguments), timeout=seconds, **self._laptop(user), check=False)

    def begin(self, user: str, *arguments: str) -> subprocess.Popen[str]:
        """The same, in the background."""
        process: subprocess.Popen[str] = subprocess.Popen(self._command(*arguments), **self._laptop(user))
        self._processes.append(process)  # type: ignore[arg-type]
        return process

    def log(self, name: str) -> str:
        """What all processes of that name said."""
        return "".join(file.read_text() for file in sorted((self.folder / "logs").glob(f"{name}-*.log")))

    def close(self) -> None:
        """End all of it."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.server.kill()

    def _start(self, command: str, login: tuple[str, str], **environment: str) -> subprocess.Popen[bytes]:
        self._count += 1
        settings = {
            "SEARCHLAB_STORAGE": self.storage,
            "SEARCHLAB_TRACKING": self.server.uri,
            "SEARCHLAB_HOME": str(self.folder / "home"),
            "SEARCHLAB_LEASE_SECONDS": "6",
            **self._login(*login),
            **environment,
        }
        with (self.folder / "logs" / f"{command}-{self._count}.log").open("wb") as log:
            process = subprocess.Popen(
                self._command(command), env={**os.environ, **settings}, stdout=log, stderr=log, process_group=0
            )
        self._processes.append(process)
        return process

    def _laptop(self, user: str) -> dict[str, Any]:
        password = dict([ADMIN]).get(user) or self.passwords[user]
        settings = {"SEARCHLAB_HOME": str(self.folder / f"laptop-{user}"), "SEARCHLAB_STACK": self.server.uri}
        environment = {**os.environ, **settings, **self._login(user, password)}
        return {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}

    @staticmethod
    def _login(name: str, password: str) -> dict[str, str]:
        return {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": password}

    @staticmethod
    def _command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "searchlab", *arguments]

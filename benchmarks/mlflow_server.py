"""A real `mlflow server` on a loopback port, which a test or a measurement may kill, freeze and start again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


class Server:
    """One server; whatever happens to it, it comes back on the same port with the same database."""

    def __init__(self, folder: Path, *options: str, admin: tuple[str, str] | None = None, **environment: str) -> None:
        """A server whose files are in `folder`, with further words for `mlflow server` and variables for it.

        With `admin`, the name and password of an administrator, it asks everybody for a password.
        """
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        database = f"sqlite:///{folder / 'mlflow.db'}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database]
        self._command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1"]
        self._command += ["--port", str(self.port), "--workers", "1", *options]
        self.folder = folder
        self._environment = environment
        if admin is not None:
            self._ask_for_passwords(folder, *admin)
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers some seconds later."""
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env={**os.environ, **quiet, **self._environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _ask_for_passwords(self, folder: Path, name: str, password: str) -> None:
        """Have basic authentication, with an administrator; everybody may read what is not closed to them."""
        settings = folder / "auth.ini"
        settings.write_text(
            "[mlflow]\ndefault_permission = READ\nauth_cache_ttl_seconds = 60\n"
            f"database_uri = sqlite:///{folder / 'auth.db'}\nadmin_username = {name}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        self._command += ["--app-name", "basic-auth"]
        self._environment |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            "MLFLOW_AUTH_ADMIN_PASSWORD": password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of a test",
        }

    def wait(self, seconds: float = 120.0) -> None:
        """Wait until it answers."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                time.sleep(0.2)
        raise TimeoutError(self._log.read_text())

    def freeze(self) -> None:
        """Stop all its processes; the kernel goes on to acknowledge what they are sent."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill all its processes."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)


def with_users(folder: Path, password: str) -> Server:
    """A server that asks for a password (of the user "admin"), and takes models from its own artifact store only."""
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///{folder / 'auth.db'}\n"
        "admin_username = admin\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 60\n"
    )
    return Server(
        folder,
        "--app-name",
        "basic-auth",
        MLFLOW_AUTH_CONFIG_PATH=str(folder / "auth.ini"),
        MLFLOW_AUTH_ADMIN_PASSWORD=password,
        MLFLOW_FLASK_SERVER_SECRET_KEY="a key for tests",
        MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX="^mlflow-artifacts:/.*$",
    )

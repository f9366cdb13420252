"""Docker's command line, for a stack: lists of arguments, never a line for a shell."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from searchlab.errors import ServiceError

EXPLAINED = 2000
"""Characters of what a program said last that an error repeats."""


@dataclass(frozen=True)
class Stack:
    """The stack whose compose.yaml lies in `folder`."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """More of it for docker itself, such as secrets that `run --env NAME` hands on without naming their values."""

    def compose(
        self,
        *words: str,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | int = subprocess.PIPE,
        accepted: tuple[int, ...] = (0,),
    ) -> bytes:
        """Run `docker compose WORDS`; what it printed, unless `stdout` is a file.

        Raises:
            ServiceError: Docker is not there, or it ended with another status than the accepted ones.
        """
        command = ["docker", "compose", "--project-directory", str(self.folder), *words]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=stdin or subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                check=False,
            )
        except FileNotFoundError as error:
            raise ServiceError("docker is not installed; a stack needs Docker's engine and compose v2") from error
        if done.returncode not in accepted:
            said = done.stderr.decode(errors="replace").strip()[-EXPLAINED:]
            raise ServiceError(f"docker compose {words[0]} ended with status {done.returncode}: {said}")
        return done.stdout or b""

    def running(self) -> frozenset[str]:
        """The services that run."""
        return frozenset(self.compose("ps", "--services", "--status", "running").decode().split())

    def query(self, database: str, statement: str) -> str:
        """What PostgreSQL answers, as its superuser."""
        words = ("psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", statement)
        return self.compose("exec", "-T", "postgres", *words).decode().strip()


def digest_of(image: str, *, patience: float = 30.0) -> str | None:
    """`image` with the digest that its registry gives it today; None where docker or the registry does not answer."""
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{json .Manifest}}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=patience, check=True)
        digest = json.loads(done.stdout)["digest"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None
    return f"{image}@{digest}" if isinstance(digest, str) and digest.startswith("sha256:") else None

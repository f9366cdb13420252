"""The `.env` of a stack: random secrets that compose reads, made once, for one pair of eyes.

Why a file and not Docker's secrets: PostgreSQL, MLflow and libpq read the environment, and outside of Swarm a secret of
compose is a file on the same disk.  No secret is ever an argument of a command or a part of a URL: libpq takes the
password from PGPASSWORD.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from searchlab.atomic import append
from searchlab.errors import ServiceError, SpecError

COMPOSE = "compose.yaml"
FILE = ".env"
BYTES = 32

SECRETS = {
    "POSTGRES_PASSWORD": "the superuser of PostgreSQL",
    "OPTUNA_OWNER_PASSWORD": "who may change the tables of the studies",
    "OPTUNA_WORKER_PASSWORD": "who may read and write their rows",
    "OPTUNA_DASHBOARD_PASSWORD": "who may read them",
    "MLFLOW_DB_PASSWORD": "MLflow's database",
    "MLFLOW_ADMIN_PASSWORD": "the account 'admin' of MLflow",
    "MLFLOW_SECRET_KEY": "signs MLflow's cookies",
    "SEARCHLAB_WORKER_PASSWORD": "the account 'worker' of MLflow",
    "RAY_AUTH_TOKEN": "lets nodes join the Ray cluster (profile ray)",
}
"""Each secret of compose.yaml, and what it opens."""

CHOICES = """\
# What may be chosen; the values shown hold without it.
#SEARCHLAB_DATA=./data            the folder of data that studies name as /data/...; user 10001 must be able to read it
#STACK_PORT=5000                  MLflow, on 127.0.0.1 only
#STACK_HOSTS=mlflow.example.org   further names that a reverse proxy passes on as Host, separated by commas
#STACK_ORIGINS=https://mlflow.example.org
#WORKERS=1                        or: docker compose up -d --scale worker=4
#WORKER_MEMORY=8g
"""

IMAGES = {"PYTHON_IMAGE": "python:3.11-slim-bookworm", "POSTGRES_IMAGE": "postgres:16-bookworm"}
"""What others made: a version here, and in `.env` the digest that it has today."""


def is_stack(folder: Path) -> bool:
    """Whether `folder` holds the compose file of a stack."""
    return (folder / COMPOSE).is_file()


def check_folder(folder: Path) -> None:
    """See that `folder` is that of a stack.

    Raises:
        SpecError: It holds no compose.yaml.
    """
    if not is_stack(folder):
        raise SpecError(
            f"{folder} holds no {COMPOSE}; the stack is made in a clone of searchlab: cd into it, or --folder FOLDER"
        )


def make(folder: Path, images: Mapping[str, str]) -> Path:
    """Write `.env` into the stack at `folder`, with new secrets and with `images` (variable to image), and `data/`.

    Raises:
        SpecError: There is no stack in `folder`, or it has its secrets already.
    """
    check_folder(folder)
    file = folder / FILE
    if os.path.lexists(file):
        raise SpecError(
            f"{file} exists already and is left as it is: the databases know its passwords. "
            "For a new stack:  docker compose down --volumes  and remove the file"
        )
    lines = ["# Secrets of this stack.  Keep a copy in a safe place, and out of git."]
    for name, use in SECRETS.items():
        lines += [f"# {use}", f"{name}={secrets.token_urlsafe(BYTES)}"]
    if images:
        lines += ["# Images by their digests, as they were when this file was made."]
        lines += [f"{name}={image}" for name, image in images.items()]
    ignore(folder, FILE)
    _make_data(folder / "data")
    _write_new(file, "\n".join(lines) + "\n" + CHOICES)
    return file


def _make_data(folder: Path) -> None:
    """The team's data: the evaluator reads it as a user of its own, so it must be readable whatever the umask is."""
    if not folder.exists():
        folder.mkdir()
        folder.chmod(0o755)


def _write_new(file: Path, content: str) -> None:
    """Make `file`, whole, readable by its owner alone, and only where nothing is."""
    whole = file.with_name(f".tmp-env-{secrets.token_hex(8)}")
    try:
        handle = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as open_file:
            open_file.write(content)
            open_file.flush()
            os.fsync(handle)
        try:
            os.link(whole, file)  # a rename would replace what another `init` has just made
        except FileExistsError as error:
            raise SpecError(f"{file} exists already and is left as it is: another init has just made it") from error
    finally:
        whole.unlink(missing_ok=True)


def ignore(folder: Path, name: str) -> None:
    """See that git ignores `name` in `folder`: a line of `.gitignore`, where none says so yet."""
    file = folder / ".gitignore"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if f"/{name}" in text.splitlines() or _is_ignored(folder, name):
        return
    gap = "" if not text or text.endswith("\n") else "\n"
    append(file, f"{gap}/{name}\n")


def _is_ignored(folder: Path, name: str) -> bool:
    if shutil.which("git") is None:
        return False
    asked = subprocess.run(
        ["git", "-C", str(folder), "check-ignore", "--quiet", name], capture_output=True, check=False
    )
    return asked.returncode == 0


def read(folder: Path) -> dict[str, str]:
    """The variables of the stack's `.env`.

    Raises:
        ServiceError: There is none.
    """
    file = folder / FILE
    if not file.is_file():
        raise ServiceError(f"{file} is not there; first:  searchlab stack init")
    pairs = (line.partition("=") for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {name.strip(): value.strip() for name, is_pair, value in pairs if is_pair}

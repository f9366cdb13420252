"""Backup, restore and upgrade of a stack: one archive with a manifest, checked before anything is changed.

    manifest.json     format, versions, and size and sha256 of each part
    optuna.dump       pg_dump of each database, in PostgreSQL's own format
    mlflow.dump
    artifacts.tar     what the volumes hold
    home.tar
    sealed.tar
    uploads.tar

The databases come first: what they name is then in the volumes that are read after them.  What is written meanwhile may
be in the volumes only, where it does no harm.  Secrets are not in it: a stack has those of its own `.env`, and after a
restore MLflow's accounts 'admin' and 'worker' have them too (stack/accounts.py).  Other accounts keep their passwords.

Why not a copy of PostgreSQL's files: a dump can be read by a newer server, and is a tenth of the size.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from searchlab import __version__
from searchlab.errors import ServiceError, SpecError
from searchlab.stack import secrets
from searchlab.stack.compose import Stack

FORMAT = 1
MANIFEST = "manifest.json"
DATABASES = ("optuna", "mlflow")
PIECE = 1 << 20


@dataclass(frozen=True)
class Volume:
    """One that is kept, and the service that sees it."""

    name: str
    service: str
    path: str
    without: tuple[str, ...] = ()
    """What lies in it by name only: places where others are mounted."""


VOLUMES = (
    Volume("artifacts", "mlflow", "/var/lib/mlflow/artifacts"),
    Volume("home", "evaluator", "/var/lib/searchlab", without=("./sealed",)),
    Volume("sealed", "evaluator", "/var/lib/searchlab/sealed"),
    Volume("uploads", "evaluator", "/var/lib/searchlab-uploads"),
)
PARTS = (*(f"{name}.dump" for name in DATABASES), *(f"{volume.name}.tar" for volume in VOLUMES))
CHANGED_MEANWHILE = 1
"""The status of GNU tar where a file changed or went while it was read; 2 is an error."""


def backup(stack: Stack, file: Path) -> Path:
    """Write all that the running `stack` keeps into the archive `file`, readable by its owner alone.

    Raises:
        SpecError: `file` exists.
        ServiceError: The stack does not run, or a part of it cannot be read.
    """
    if os.path.lexists(file):
        raise SpecError(f"{file} exists already; a backup overwrites nothing")
    secrets.check_folder(stack.folder)
    missing = {"postgres", *(volume.service for volume in VOLUMES)} - stack.running()
    if missing:
        raise ServiceError(f"{', '.join(sorted(missing))} does not run; first:  docker compose up -d --wait")
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".tmp-backup-") as name:
        parts = Path(name)
        for database in DATABASES:
            words = ("pg_dump", "--username=postgres", "--format=custom", "--create", f"--dbname={database}")
            _save(stack, parts / f"{database}.dump", "postgres", *words)
        for volume in VOLUMES:
            tar = ("tar", "--create", "--file=-", "--numeric-owner", f"--directory={volume.path}")
            without = tuple(f"--exclude={place}" for place in volume.without)
            accepted = (0, CHANGED_MEANWHILE)
            _save(stack, parts / f"{volume.name}.tar", volume.service, *tar, *without, ".", accepted=accepted)
        whole = parts / "whole.tar"
        _pack(parts, whole, versions=_versions(stack))
        try:
            os.link(whole, file)  # a rename would replace what another backup has just made
        except FileExistsError as error:
            raise SpecError(f"{file} exists already; a backup overwrites nothing") from error
    return file


def _save(stack: Stack, part: Path, service: str, *words: str, accepted: tuple[int, ...] = (0,)) -> None:
    with _new(part) as output:
        stack.compose("exec", "-T", service, *words, stdout=output, accepted=accepted)


@contextmanager
def _new(path: Path) -> Iterator[IO[bytes]]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _versions(stack: Stack) -> dict[str, str]:
    return {
        "searchlab": __version__,
        "postgresql": stack.query("postgres", "SHOW server_version"),
        "optuna_schema": stack.query("optuna", "SELECT version_num FROM alembic_version"),
        "mlflow_schema": stack.query("mlflow", "SELECT version_num FROM alembic_version"),
    }


def _pack(parts: Path, whole: Path, *, versions: dict[str, str]) -> None:
    described = {name: _describe(parts / name) for name in PARTS}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = {"format": FORMAT, "made": now, "versions": versions, "parts": described}
    with _new(parts / MANIFEST) as output:
        output.write(json.dumps(manifest, indent=2).encode())
    with _new(whole) as output, tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in (MANIFEST, *PARTS):
            archive.add(parts / name, arcname=name, recursive=False)
            (parts / name).unlink()  # or the disk would hold everything twice


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


@dataclass(frozen=True)
class Archive:
    """One whose every part is as its manifest says."""

    file: Path
    made: str
    versions: dict[str, str]

    @contextmanager
    def part(self, name: str) -> Iterator[IO[bytes]]:
        """The bytes of a part, as a file that a process can be given."""
        with tarfile.open(self.file, mode="r:") as archive, tempfile.TemporaryFile(dir=self.file.parent) as copy:
            source = archive.extractfile(name)
            assert source is not None  # `checked` has seen it
            while piece := source.read(PIECE):
                copy.write(piece)
            copy.flush()
            copy.seek(0)
            yield copy


def checked(file: Path) -> Archive:
    """The archive at `file`, once each of its parts has the size and the sha256 of the manifest.

    Raises:
        SpecError: It is no backup, an incomplete or a changed one, or one of a newer searchlab.
    """
    try:
        with tarfile.open(file, mode="r:") as archive:
            members = archive.getmembers()
            names = [member.name for member in members]
            if names != [MANIFEST, *PARTS] or not all(member.isreg() for member in members):
                raise SpecError(f"{file} is not a whole backup: it holds {', '.join(names[:10]) or 'nothing'}")
            source = archive.extractfile(MANIFEST)
            assert source is not None
            manifest = json.loads(source.read(PIECE))
            if manifest["format"] != FORMAT:
                raise SpecError(
                    f"{file} has format {manifest['format']}, and this searchlab ({__version__}) knows format {FORMAT}"
                )
            for name in PARTS:
                wanted = manifest["parts"][name]["sha256"]
                part = archive.extractfile(name)
                assert part is not None
                found = hashlib.sha256()
                while piece := part.read(PIECE):
                    found.update(piece)
                if found.hexdigest() != wanted:
                    raise SpecError(f"{file}: {name} is not what was saved (its sha256 differs); use another backup")
            return Archive(file, str(manifest["made"]), {str(k): str(v) for k, v in manifest["versions"].items()})
    except FileNotFoundError as error:
        raise SpecError(f"{file} is not there") from error
    except (tarfile.TarError, ValueError, KeyError, TypeError, EOFError) as error:
        raise SpecError(f"{file} is not a backup of a stack: {error}") from error


def restore(stack: Stack, archive: Archive, *, force: bool = False) -> None:
    """Put the contents of `archive` in the place of those of `stack`, which is stopped then, all but PostgreSQL.

    Raises:
        SpecError: The stack holds studies or runs, and `force` is not set.
        ServiceError: A step failed; the same command with `force` does it all again.
    """
    secrets.check_folder(stack.folder)
    found = secrets.read(stack.folder)
    stack.compose("up", "--detach", "--wait", "postgres")
    held = contents(stack)
    if held and not force:
        raise SpecError(
            f"the stack is not empty ({held}), and a restore would replace that; --force does, after a backup of it"
        )
    stack.compose("--profile", "*", "stop", *_all_but_postgres(stack))
    for database in DATABASES:
        with archive.part(f"{database}.dump") as dump:
            into = ("pg_restore", "--username=postgres", "--dbname=postgres", "--create", "--clean", "--if-exists")
            stack.compose("exec", "-T", "postgres", *into, "--exit-on-error", stdin=dump)
    for volume in VOLUMES:
        _refill(stack, volume, archive)
    with_secrets = Stack(stack.folder, found)
    by_name = ("--env", "SEARCHLAB_WORKER_PASSWORD")  # docker takes its value from our environment
    with_secrets.compose("run", "--rm", "--no-deps", "-T", *by_name, "mlflow", "python", "/opt/accounts.py")


def contents(stack: Stack) -> str:
    """What a stack holds that a restore would replace, for people; empty where it is new."""
    found = []
    for database, table, word in (
        ("optuna", "studies", "studies"),
        ("mlflow", "runs", "runs"),
        ("mlflow", "registered_models", "registered models"),
    ):
        if stack.query(database, f"SELECT to_regclass('public.{table}') IS NOT NULL") == "t":
            count = int(stack.query(database, f"SELECT count(*) FROM {table}"))
            if count:
                found.append(f"{count} {word}")
    return ", ".join(found)


def _all_but_postgres(stack: Stack) -> tuple[str, ...]:
    services = stack.compose("--profile", "*", "config", "--services").decode().split()
    return tuple(sorted(set(services) - {"postgres"}))


def _refill(stack: Stack, volume: Volume, archive: Archive) -> None:
    """Empty a volume, all but the places of others in it, and fill it with its part of `archive`."""
    once = ("run", "--rm", "--no-deps", "-T")
    spared = [word for place in volume.without for word in ("!", "-path", place)]
    deep = [word for place in volume.without for word in ("!", "-path", f"{place}/*")]
    words = ("find", ".", "-mindepth", "1", *spared, *deep, "-delete")
    stack.compose(*once, "--workdir", volume.path, volume.service, *words)
    tar = ("tar", "--extract", "--file=-", "--preserve-permissions", f"--directory={volume.path}")
    with archive.part(f"{volume.name}.tar") as part:
        stack.compose(*once, volume.service, *tar, stdin=part)


def upgrade(stack: Stack, file: Path) -> None:
    """After a newer searchlab was checked out: back up to `file`, build its images, bring all tables up to date, start.

    Raises:
        SpecError: `file` exists.
        ServiceError: A step failed.  Before the tables are touched nothing has changed; after that, the backup restores
            what was, with the version that made it.
    """
    backup(stack, file)
    stack.compose("build")
    stack.compose("--profile", "*", "stop", *_all_but_postgres(stack))
    stack.compose("up", "--detach", "--wait", "postgres")
    stack.compose("run", "--rm", "-T", "migrate")
    once = ("run", "--rm", "--no-deps", "-T", "--env", "PGOPTIONS=-c statement_timeout=0", "mlflow")
    address = "postgresql+psycopg://mlflow@postgres:5432/mlflow"
    stack.compose(*once, "mlflow", "db", "upgrade", address)
    stack.compose(*once, "python", "-m", "mlflow.server.auth", "db", "upgrade", "--url", address)
    stack.compose("up", "--detach", "--wait")

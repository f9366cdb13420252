"""A SQLite file as a storage: which ones are taken, how they are opened, and what may befall them while they are used.

It is opened in write-ahead mode, and each transaction takes the write lock when it begins: with SQLite's own deferred
transactions two processes can both read "waiting" and both claim the same trial.  Only what says that it will not write
(`READS`) does without the lock.

A connection stays with the file that it opened even when that is deleted or replaced, and would go on to write where
nobody looks.  So each transaction begins with a look at the name, and nothing but `File.create` makes a new file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import sqlalchemy

from searchlab.errors import SpecError, StorageLost

READS = "searchlab_reads"
"""Execution option of a connection that only reads: it sees one moment of the file and keeps nobody from writing."""

BUSY_TIMEOUT = 60.0
"""Seconds that a connection waits for another process's transaction."""

NETWORK = frozenset(
    "nfs nfs4 cifs smb2 smb3 smbfs afs afpfs lustre gpfs beegfs ceph glusterfs ocfs2 gfs2 davfs webdav fuse.sshfs "
    "fuse.glusterfs fuse.ceph fuse.s3fs fuse.gcsfuse fuse.rclone fuse.davfs fuse.mountpoint-s3 fuse.juicefs".split()
)
"""File systems that several machines see.  Not 9p and virtiofs: those are this machine's, seen from a guest of it."""

RECIPE = (
    "Keep the study on a disk of this machine (--home FOLDER), or use PostgreSQL, which workers on other machines can "
    "join: make a database (createdb searchlab), pip install 'searchlab[postgresql]', and put "
    "storage: postgresql+psycopg://USER:PASSWORD@HOST/searchlab  into the study file"
)

LATELY = 10.0
"""Seconds during which an empty file may be one that another process is just making."""


class File:
    """One file, for the connections of one engine."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._may_create = False

    def create(self) -> Callable[[], Any]:
        """How a connection is made, the first one with the file where there is none.

        Raises:
            SpecError: It would lie on a network file system.
            StorageLost: The file is there and is empty: what was in it is gone.
        """
        kind = file_system(self._path)
        if kind in NETWORK:
            raise SpecError(
                f"{self._path} lies on a network file system ({kind}), where SQLite's locks do not hold and its files "
                f"break. {RECIPE}."
            )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._may_create = not self._path.exists()
        if not self._may_create and _is_emptied(self._path):
            raise StorageLost(
                f"the storage {self._path} is an empty file, so what it held is gone. Put a copy of it back, or remove "
                "it to begin anew"
            )
        return self._connect

    def _connect(self) -> sqlite3.Connection:
        mode = "rwc" if self._may_create else "rw"
        address = f"file:{quote(str(self._path))}?mode={mode}"
        return sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT, check_same_thread=False)

    def watch(self, engine: sqlalchemy.Engine) -> None:
        """From now on nothing is made, and transactions begin as the head of this module says."""
        self._may_create = False
        engine.dispose()  # Optuna, while it looks at its tables, holds one transaction and begins another
        sqlalchemy.event.listen(engine, "connect", self._connected)
        sqlalchemy.event.listen(engine, "begin", self._begins)

    def _connected(self, connection: Any, record: Any) -> None:
        connection.isolation_level = None  # sqlite3 shall begin nothing by itself
        connection.execute("PRAGMA journal_mode = WAL")
        # A power cut may cost the last seconds, whose trials are then trained again, but never the file; with FULL each
        # of the twenty transactions of a trial would wait for the disk.
        connection.execute("PRAGMA synchronous = NORMAL")
        record.info["file"] = _identity(self._path)

    def _begins(self, connection: sqlalchemy.Connection) -> None:
        if connection.info["file"] is None or connection.info["file"] != _identity(self._path):
            raise StorageLost(
                f"the storage {self._path} was deleted or replaced while it was in use. What the trials came to is "
                "kept in results.jsonl in the study's folder: put the file back, and  searchlab resume  tells it, or "
                "have  searchlab restore STUDY  make the study again"
            )
        only_reads = connection.get_execution_options().get(READS)
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


def file_system(path: Path) -> str | None:
    """The kind of file system that `path` lies on, or will; None when it cannot be told."""
    place = path.resolve()
    found = [part for part in psutil.disk_partitions(all=True) if place.is_relative_to(part.mountpoint)]
    return max(reversed(found), key=lambda part: len(Path(part.mountpoint).parts)).fstype if found else None


def holders(path: Path) -> tuple[int, ...]:
    """The processes of this machine that hold locks on the file, other than this one; none where none can be told."""
    numbers = {found[1] for part in ("", "-shm", "-wal") if (found := _identity(Path(f"{path}{part}"))) is not None}
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return ()
    rows = [line.split() for line in lines if "WRITE" in line and "->" not in line]
    own = psutil.Process().pid
    return tuple(
        sorted(
            {int(row[4]) for row in rows if int(row[5].rpartition(":")[2]) in numbers and int(row[4]) not in (own, 0)}
        )
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_emptied(path: Path) -> bool:
    found = path.stat()
    return found.st_size == 0 and time.time() - found.st_mtime > LATELY and not Path(f"{path}-wal").exists()

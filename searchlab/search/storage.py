"""Where studies live: an Optuna storage in SQLite (one machine) or PostgreSQL (a team).

SQLite is opened in write-ahead mode, and each transaction takes the write lock when it begins: with SQLite's own
deferred transactions two processes can both read "waiting" and both claim the same trial.  Only what says that it will
not write (`READS`) does without the lock.  Journal files are refused:
a writer that is killed in the middle of a line destroys the whole file.
"""

from __future__ import annotations

import logging
import random
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from sqlalchemy.engine import URL

from searchlab.errors import SearchlabError, ServiceError, SpecError

log = logging.getLogger(__name__)

READS = "searchlab_reads"
"""Execution option of a connection that only reads: it sees one moment of the file and keeps nobody from writing."""

BUSY_TIMEOUT = 60.0
"""Seconds that a connection waits for another process's transaction."""

ATTEMPTS = 8
"""So often the tables are made or looked for; several processes may be the first at once."""


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """The storage at `url`, made when it is new; safe to call from several processes at once.

    Raises:
        SpecError: No storage of that kind is supported.
        ServiceError: It cannot be reached or read; the password is masked.
    """
    place = parse(url)
    _hush()
    if place.database and is_sqlite(place):
        Path(place.database).parent.mkdir(parents=True, exist_ok=True)
    error: Exception | None = None
    for attempt in range(ATTEMPTS):
        try:
            return optuna.storages.get_storage(_connect(place))
        except ImportError as missing:
            raise ServiceError(
                f"the storage {shown(place)} needs a database driver that is not installed: "
                "pip install 'psycopg[binary]'"
            ) from missing
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as failure:
            error = failure
            if _is_hopeless(failure):
                break
            time.sleep(0.05 * 2**attempt * (0.5 + random.random() / 2))  # another process may be making the tables
        except RuntimeError as mismatch:
            if type(mismatch) is not RuntimeError:
                raise
            # Made by an older or a newer Optuna.
            raise ServiceError(f"the storage {shown(place)} cannot be used: {mismatch}") from mismatch
    reason = str(getattr(error, "orig", None) or error.__cause__ or error).strip() if error else ""
    raise ServiceError(f"the storage {shown(place)} cannot be opened: {reason}") from error


def parse(url: str) -> URL:
    """The parts of `url`; `postgresql:` means the driver psycopg.

    Raises:
        SpecError: It is no URL, or of a kind that is not supported.
    """
    allowed = "sqlite:///FILE and postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
    try:
        place = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        raise SpecError(f"{_masked(url)!r} is no URL of a storage. Allowed: {allowed}.") from None
    kind = place.get_backend_name()
    if kind == "postgresql":
        return place.set(drivername="postgresql+psycopg")
    if kind == "sqlite" and place.database and place.database != ":memory:":
        return place.set(drivername="sqlite")
    if kind == "sqlite":
        raise SpecError(f"a storage in memory is lost when its process ends. Allowed: {allowed}.")
    if "journal" in kind or kind in ("file", "redis"):
        raise SpecError(f"journal storages are not supported: one torn line destroys them. Allowed: {allowed}.")
    raise SpecError(f"no storage of kind {kind!r} is supported. Allowed: {allowed}.")


def is_sqlite(place: URL) -> bool:
    """Whether the storage is a file on this machine."""
    return place.get_backend_name() == "sqlite"


def exists(url: str) -> bool:
    """Whether there may be studies at `url`: False for a SQLite file that is not there.  Makes nothing."""
    place = parse(url)
    return not is_sqlite(place) or Path(place.database or "").exists()


def shown(place: URL) -> str:
    """The URL as people may see it, its password masked."""
    return place.render_as_string(hide_password=True)


@contextmanager
def no_experimental_warnings() -> Iterator[None]:
    """While inside, Optuna does not tell the user which of its parts are experimental: that is our choice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _connect(place: URL) -> optuna.storages.RDBStorage:
    url = place.render_as_string(hide_password=False)  # quotes braces, which Optuna would fill by str.format
    timeout = {"timeout": BUSY_TIMEOUT} if is_sqlite(place) else {"connect_timeout": 10}
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True, "connect_args": timeout})
    if is_sqlite(place):
        # Only now: while it looks at its tables, Optuna holds one transaction and begins another.
        storage.engine.dispose()
        sqlalchemy.event.listen(storage.engine, "connect", _connected)
        sqlalchemy.event.listen(storage.engine, "begin", _begins)
    return storage


def _connected(connection: Any, record: object) -> None:
    connection.isolation_level = None  # sqlite3 shall begin nothing by itself
    connection.execute("PRAGMA journal_mode = WAL")
    # A power cut may cost the last seconds, whose trials are then trained again, but never the file; with FULL each of
    # the twenty transactions of a trial would wait for the disk.
    connection.execute("PRAGMA synchronous = NORMAL")


def _begins(connection: sqlalchemy.Connection) -> None:
    only_reads = connection.get_execution_options().get(READS)
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


def _is_hopeless(failure: Exception) -> bool:
    """Whether trying again cannot help: not a database, no permission, wrong password."""
    words = f"{failure} {failure.__cause__}".lower()
    hints = ("not a database", "unable to open", "readonly", "authentication failed", "does not exist", "malformed")
    return any(hint in words for hint in hints)


def _masked(url: str) -> str:
    before, at, after = url.rpartition("@")
    return f"{before.split(':')[0]}://***@{after}" if at else url


class _ToOurLog(logging.Handler):
    """What Optuna says goes to our log, as news for those who ask for it."""

    def emit(self, record: logging.LogRecord) -> None:
        log.log(min(record.levelno, logging.INFO), record.getMessage())


def _hush() -> None:
    root = logging.getLogger("optuna")
    if not any(isinstance(handler, _ToOurLog) for handler in root.handlers):
        optuna.logging.disable_default_handler()
        optuna.logging.disable_propagation()
        root.addHandler(_ToOurLog())


def unreachable(url: str, failure: Exception) -> SearchlabError:
    """The error for a storage that stopped answering in the middle of its work."""
    reason = str(getattr(failure.__cause__, "orig", None) or failure.__cause__ or failure).strip()
    return ServiceError(f"the storage {shown(parse(url))} does not answer: {reason}")

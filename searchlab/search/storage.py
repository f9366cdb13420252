"""Where studies live: an Optuna storage in SQLite (one machine) or PostgreSQL (a team).

Journal files are refused: a writer that is killed in the middle of a line destroys the whole file.
"""

from __future__ import annotations

import logging
import random
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import sqlalchemy
from sqlalchemy.engine import URL

from searchlab.errors import SearchlabError, ServiceError, SpecError, StorageLost
from searchlab.redact import redacted
from searchlab.search import postgres_client, sqlite_file

log = logging.getLogger(__name__)

ATTEMPTS = 8
"""So often the tables are made or looked for; several processes may be the first at once."""

OPENING = 10.0
"""Seconds after which it is not tried again."""

LOST = ("not a database", "malformed", "no such table")
"""Words of SQLite for a file that is damaged."""

FINAL = (
    *LOST,
    "unable to open",
    "readonly",
    "authentication failed",
    "does not exist",
    "resolve host",
    "timeout expired",
)
"""Words of errors that do not mend themselves within seconds."""


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """The storage at `url`, made when it is new; safe to call from several processes at once.

    Raises:
        SpecError: No storage of that kind is supported, or it is a file on a network file system.
        ServiceError: It cannot be reached or read; the password is masked.
    """
    place = parse(url)
    _hush()
    error: Exception | None = None
    begun = time.monotonic()
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
            if _says(failure, FINAL) or time.monotonic() - begun > OPENING:
                break
            time.sleep(0.05 * 2**attempt * (0.5 + random.random() / 2))  # another process may be making the tables
        except RuntimeError as mismatch:
            if type(mismatch) is not RuntimeError:
                raise
            raise ServiceError(_of_another_optuna(place, str(mismatch))) from mismatch
    assert error is not None
    raise _failed(place, error, "cannot be opened") from error


def parse(url: str) -> URL:
    """The parts of `url`; `postgresql:` means the driver psycopg.

    Raises:
        SpecError: It is no URL, or of a kind that is not supported.
    """
    allowed = "sqlite:///FILE and postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
    try:
        place = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        shown_as = "what is given" if "@" in url else repr(redacted(url))  # where a password would be is not known
        raise SpecError(f"{shown_as} is no URL of a storage. Allowed: {allowed}.") from None
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
    file = sqlite_file.File(Path(place.database or "")) if is_sqlite(place) else None
    connect = file.create() if file is not None else postgres_client.connecting(place)
    pool = sqlalchemy.QueuePool(connect, pool_size=1, max_overflow=4, pre_ping=True)  # one is kept, a server has few
    if file is None:
        sqlalchemy.event.listen(pool, "connect", postgres_client.connected)
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"pool": pool})
        if file is not None:
            file.watch(storage.engine)
    except BaseException:
        pool.dispose()
        raise
    return storage


def _says(failure: BaseException, words: tuple[str, ...]) -> bool:
    text = f"{failure} {failure.__cause__}".lower()
    return any(word in text for word in words)


def _failed(place: URL, failure: Exception, what: str) -> SearchlabError:
    """The error for people: what failed, why, and what may be done about it."""
    cause: BaseException = failure.__cause__ or failure
    reason = " ".join(str(getattr(cause, "orig", None) or cause).split())
    words = f"the storage {shown(place)} {what}: {reason}"
    if not is_sqlite(place):
        many = "; raise max_connections of the server, or start fewer workers" if "too many clients" in reason else ""
        return ServiceError(words + many)
    if _says(failure, LOST):
        return StorageLost(
            f"{words}. The file is damaged, and nothing was changed in it: put a copy of it back, or move it away "
            "and have  searchlab restore STUDY  make the study again: what the trials came to is kept in results.jsonl "
            "in the study's folder"
        )
    if "locked" in reason:
        held = sqlite_file.holders(Path(place.database or ""))
        by = f" by process {', '.join(map(str, held))}" if held else " by another process"
        return ServiceError(f"{words}{by}, for more than {sqlite_file.BUSY_TIMEOUT:g} s")
    return ServiceError(words)


def _of_another_optuna(place: URL, mismatch: str) -> str:
    """The words for tables that this Optuna does not know; `mismatch` are its own."""
    words = f"the storage {shown(place)} cannot be used: its tables were made by another Optuna"
    if "upgrade" not in mismatch:
        return f"{words}, which is newer than {optuna.__version__} here: pip install -U searchlab optuna"
    copy = "cp" if is_sqlite(place) else "pg_dump"
    return (
        f"{words}, which is older than {optuna.__version__} here. Stop what works on it, keep a copy ({copy}), then: "
        f"optuna storage upgrade --storage '{shown(place)}'"
    )


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
    return _failed(parse(url), failure, "does not answer")

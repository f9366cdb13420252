"""The tables of a team's storage: made and brought up to date by their owner; others may use them, and no more."""

from __future__ import annotations

from contextlib import closing

import optuna
import sqlalchemy

from searchlab.errors import SpecError
from searchlab.search import postgres_client
from searchlab.search.queue import Queue
from searchlab.search.storage import is_sqlite, parse, shown, unreachable


def migrate(url: str, role: str | None = None) -> tuple[str, ...]:
    """Make the tables of the storage at `url`, or upgrade those of an older version; what was done.

    With `role`, a role of that PostgreSQL server may read and write their rows; it can neither make, alter nor drop
    one.
    May be asked again at any time, while nobody works on the storage.

    Raises:
        SpecError: SQLite has no roles.
        ServiceError: The storage cannot be reached, or this user may not do that.
    """
    place = parse(url)
    if role is not None and is_sqlite(place):
        raise SpecError(f"{shown(place)} is a file, which has no roles; leave --role out")
    done = []
    upgraded = _upgrade(place)
    if upgraded is not None:
        done.append(f"the tables of studies were upgraded from {upgraded[0]} to {upgraded[1]}")
    with closing(Queue(url)):
        done.append(f"the tables of {shown(place)} are there")
    if role is not None:
        _grant(url, role)
        done.append(f"{role} may read and write their rows, and change no table")
    return tuple(done)


def _upgrade(place: sqlalchemy.URL) -> tuple[str, str] | None:
    """Upgrade what an older Optuna made; from which version to which, None where nothing was to do."""
    if is_sqlite(place):
        return None
    url = place.render_as_string(hide_password=False)
    engine = sqlalchemy.create_engine(place, poolclass=sqlalchemy.NullPool)
    try:
        if not sqlalchemy.inspect(engine).has_table("version_info"):
            return None
    except sqlalchemy.exc.SQLAlchemyError as failure:
        raise unreachable(url, failure) from failure
    storage = optuna.storages.RDBStorage(url, skip_compatibility_check=True)
    try:
        before, head = storage.get_current_version(), storage.get_head_version()
        if before == head:
            return None
        storage.upgrade()
        return before, head
    finally:
        storage.engine.dispose()


def _grant(url: str, role: str) -> None:
    place = parse(url)
    engine = sqlalchemy.create_engine(place, creator=postgres_client.connecting(place), poolclass=sqlalchemy.NullPool)
    name = engine.dialect.identifier_preparer.quote_identifier(role)
    rows, counters = "SELECT, INSERT, UPDATE, DELETE ON", "USAGE, SELECT ON"
    try:
        with engine.begin() as connection:
            for words in (
                f"GRANT USAGE ON SCHEMA public TO {name}",
                f"GRANT {rows} ALL TABLES IN SCHEMA public TO {name}",
                f"GRANT {counters} ALL SEQUENCES IN SCHEMA public TO {name}",
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {rows} TABLES TO {name}",
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {counters} SEQUENCES TO {name}",
            ):
                connection.execute(sqlalchemy.text(words))
    except sqlalchemy.exc.SQLAlchemyError as failure:
        raise unreachable(url, failure) from failure

"""Studies that wait for a team's workers, and who works on which: two tables of ours beside Optuna's.

A worker asks `choose` which study it shall serve, and goes on asking while it serves one: `pick` gives the workers of
a team to studies by priority, then evenly to users, then evenly to a user's studies; among equals to who had least of
them so far.  A user's quota is the most workers that user's studies have at a time.

Every choice is made under a lock of the table of workers, so that two that choose at once do not choose the same.  A
worker that says nothing for `SECONDS` counts no more.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

import sqlalchemy
from optuna.storages._cached_storage import _CachedStorage

from searchlab.errors import SpecError, StudyConflict, UnknownName
from searchlab.plain import printable
from searchlab.search import leases
from searchlab.search.mirror import UPSERTS, disconnect
from searchlab.search.storage import open_storage, unreachable
from searchlab.spec import NAME

SECONDS = 60.0
"""How long a worker counts after its last word."""

State: TypeAlias = Literal["submitted", "open", "closing", "done", "stopped", "paused", "failed"]
"""submitted: nobody leads it yet · open: it has work · closing: no trial is asked for any more · others: it has ended.
"""

ENDED: frozenset[State] = frozenset({"done", "stopped", "paused", "failed"})
"""No process works on it."""

MOST_TEXT = 1 << 20
"""Characters of a study file in the queue, and of what is told of it."""

OWN = frozenset({"request", "stage", "state"})
"""What the evaluator says itself beside what is told of a study."""

log = logging.getLogger(__name__)

META = sqlalchemy.MetaData()
QUEUE = sqlalchemy.Table(
    "searchlab_queue",
    META,
    sqlalchemy.Column("study", sqlalchemy.String(200), primary_key=True),
    sqlalchemy.Column("owner", sqlalchemy.String(200), nullable=False),
    sqlalchemy.Column("priority", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("quota", sqlalchemy.Integer),
    sqlalchemy.Column("state", sqlalchemy.String(20), nullable=False),
    sqlalchemy.Column("submitted", sqlalchemy.Float(53), nullable=False),
    sqlalchemy.Column("wanted", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("served", sqlalchemy.Float(53), nullable=False),
    sqlalchemy.Column("spec", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("folder", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("request", sqlalchemy.String(200), nullable=False),
    sqlalchemy.Column("progress", sqlalchemy.Text, nullable=False),
)
WORKERS = sqlalchemy.Table(
    "searchlab_workers",
    META,
    sqlalchemy.Column("worker", sqlalchemy.String(200), primary_key=True),
    sqlalchemy.Column("study", sqlalchemy.String(200)),
    sqlalchemy.Column("since", sqlalchemy.Float(53), nullable=False),
    sqlalchemy.Column("expires", sqlalchemy.Float(53), nullable=False),
)


@dataclass(frozen=True)
class Entry:
    """A study in the queue."""

    study: str
    owner: str
    """The user who submitted it."""
    spec: str
    """The study file, everything filled in."""
    folder: str
    """What relative paths in it count from."""
    request: str = ""
    """Where the user is told how it goes, in the words of who takes submissions."""
    priority: int = 0
    """Studies of a higher one have all the workers that they can use."""
    quota: int | None = None
    """The most workers that the owner's studies have at a time; None is no limit."""
    state: State = "submitted"
    submitted: float = 0.0
    """Seconds since 1970, by the database's clock."""
    wanted: int = 0
    """Trials that wait for a worker."""
    served: float = 0.0
    """Seconds of workers that it has had."""
    progress: Mapping[str, Any] | None = None
    """What its leader tells of it, as JSON values."""


@dataclass(frozen=True)
class AtWork:
    """A worker that lives."""

    worker: str
    study: str | None
    """What it works on; None while it has nothing to do."""


def pick(entries: Sequence[Entry], at_work: Collection[AtWork], *, current: str | None) -> str | None:
    """The study that a worker shall serve, beside the others `at_work`; None when there is nothing to do.

    A worker that serves `current` stays with it unless another study comes before it in what both are measured by.
    """
    by_study: dict[str, int] = {}
    for other in at_work:
        if other.study is not None:
            by_study[other.study] = by_study.get(other.study, 0) + 1
    workers: dict[str, int] = {}
    served: dict[str, float] = {}
    for entry in entries:
        workers[entry.owner] = workers.get(entry.owner, 0) + by_study.get(entry.study, 0)
        if entry.state not in ENDED:
            served[entry.owner] = served.get(entry.owner, 0.0) + entry.served

    def rank(entry: Entry) -> tuple[Any, ...]:
        own = by_study.get(entry.study, 0)
        return (-entry.priority, workers[entry.owner], own, served[entry.owner], entry.served, entry.submitted)

    takes = [
        entry
        for entry in entries
        if entry.state == "open"
        and (entry.wanted > by_study.get(entry.study, 0) or entry.study == current)
        and (entry.quota is None or workers[entry.owner] < entry.quota)
    ]
    return min(takes, key=lambda entry: (*rank(entry), entry.study)).study if takes else None


class Queue:
    """The queue in the storage at `url`; any process may use it."""

    def __init__(self, url: str) -> None:
        """Open it, and make its tables where they are missing.

        Raises:
            ServiceError: The storage cannot be reached.
        """
        self._url = url
        storage = open_storage(url)
        assert isinstance(storage, _CachedStorage)
        self._storage = storage
        self._engine: sqlalchemy.Engine = storage._backend.engine
        make_tables(self._engine)
        leases.make_table(self._engine)

    def close(self) -> None:
        """Leave its connections."""
        disconnect(self._storage)

    def submit(self, entry: Entry) -> Entry:
        """Put a study into the queue, or back into it where it has ended; as it is there then.

        Raises:
            StudyConflict: Another user's study has the name.
        """
        with self._transaction() as connection:
            before = _entry(connection, entry.study)
            if before is not None and before.owner != entry.owner:
                raise StudyConflict(
                    f"a study named {entry.study!r} is there, and belongs to {before.owner}; give this one another "
                    "name: --set study=NAME"
                )
            fresh = replace(entry, submitted=leases.now(connection), served=before.served if before else 0.0)
            if before is not None and before.state not in ENDED:  # somebody leads it: only what may change does
                fresh = replace(before, priority=entry.priority, quota=entry.quota, request=entry.request)
            row = {**vars(fresh), "progress": json.dumps(fresh.progress or {})}
            insert: Any = UPSERTS[connection.dialect.name](QUEUE).values(row)
            connection.execute(insert.on_conflict_do_update(index_elements=["study"], set_=row))
            return fresh

    def entries(self) -> tuple[Entry, ...]:
        """All of them, in the order in which they were submitted."""
        with self._transaction() as connection:
            return _entries(connection)

    def entry(self, study: str) -> Entry:
        """The study of that name.

        Raises:
            UnknownName: It was never submitted.
        """
        with self._transaction() as connection:
            found = _entry(connection, study)
            if found is None:
                known = [entry.study for entry in _entries(connection)]
                raise UnknownName.among(known, kind="submitted study", name=study)
            return found

    def become(self, study: str, state: State, **progress: Any) -> bool:
        """Let a study be in another state; `progress` is added to what is told of it.  Whether it is there."""
        return self._change(study, progress, state=state)

    def tell(self, study: str, *, wanted: int, **progress: Any) -> bool:
        """Say how many trials of a study wait for a worker, and how it goes.  Whether it is there."""
        return self._change(study, progress, wanted=wanted)

    def complain(self, study: str, worker: str, words: str) -> bool:
        """Say why a worker cannot train a study.  Whether it is there."""
        return self._change(study, {"trouble": {"worker": worker.partition(":")[0], "words": words[:500]}})

    def look(self, worker: str, study: str) -> State | None:
        """In which state a study is that a worker serves, which lives; None when it is not there."""
        with self._transaction() as connection:
            now = leases.now(connection)
            alive = WORKERS.update().where(WORKERS.c.worker == worker).values(expires=now + SECONDS)
            connection.execute(alive)
            return connection.scalar(sqlalchemy.select(QUEUE.c.state).where(QUEUE.c.study == study))

    def choose(self, worker: str, current: str | None, *, without: frozenset[str] = frozenset()) -> str | None:
        """What the worker of that name shall serve now (see `pick`), none of those in `without`; it counts there."""
        with self._transaction() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sqlalchemy.text("LOCK TABLE searchlab_workers IN EXCLUSIVE MODE"))
            now = leases.now(connection)
            is_over = sqlalchemy.or_(WORKERS.c.expires < now, WORKERS.c.expires > now + 2 * SECONDS)
            connection.execute(WORKERS.delete().where(is_over))
            rows = connection.execute(sqlalchemy.select(WORKERS)).all()
            mine = next((row for row in rows if row.worker == worker), None)
            if mine is not None and mine.study is not None:
                served = QUEUE.c.served + max(0.0, now - mine.since)
                connection.execute(QUEUE.update().where(QUEUE.c.study == mine.study).values(served=served))
            others = [AtWork(row.worker, row.study) for row in rows if row.worker != worker]
            known = _entries(connection)
            takes = [replace(e, wanted=0) if e.study in without and e.study != current else e for e in known]
            chosen = pick(takes, others, current=current)
            row = {"worker": worker, "study": chosen, "since": now, "expires": now + SECONDS}
            insert: Any = UPSERTS[connection.dialect.name](WORKERS).values(row)
            connection.execute(insert.on_conflict_do_update(index_elements=["worker"], set_=row))
            return chosen

    def leave(self, worker: str) -> None:
        """The worker of that name is no more."""
        with self._transaction() as connection:
            connection.execute(WORKERS.delete().where(WORKERS.c.worker == worker))

    def is_told(self, study: str) -> None:
        """The user of a study that has ended was told of it."""
        with self._transaction() as connection:
            connection.execute(QUEUE.update().where(QUEUE.c.study == study).values(request=""))

    def at_work(self) -> tuple[AtWork, ...]:
        """The workers that live."""
        with self._transaction() as connection:
            alive = sqlalchemy.select(WORKERS).where(WORKERS.c.expires >= leases.now(connection))
            return tuple(AtWork(row.worker, row.study) for row in connection.execute(alive.order_by(WORKERS.c.worker)))

    def _change(self, study: str, progress: Mapping[str, Any], **values: Any) -> bool:
        with self._transaction() as connection:
            before = _entry(connection, study)
            if before is None:
                return False
            told = json.dumps({**(before.progress or {}), **progress})
            connection.execute(QUEUE.update().where(QUEUE.c.study == study).values(progress=told, **values))
            return True

    @contextmanager
    def _transaction(self) -> Iterator[sqlalchemy.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sqlalchemy.exc.SQLAlchemyError as failure:
            raise unreachable(self._url, failure) from failure


def make_tables(engine: sqlalchemy.Engine) -> None:
    """Make both tables where they are not there yet; several processes may be the first at once."""
    try:
        META.create_all(engine)
    except sqlalchemy.exc.SQLAlchemyError:  # another one was quicker between the look and the making
        META.create_all(engine)


def quota_of(user: str, text: str) -> int | None:
    """The quota of `user` in a text such as "ann=4, bob=2, *=1"; `*` is everybody else, nothing is no limit.

    Raises:
        SpecError: It is no such text.
    """
    quotas: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, number = part.partition("=")
        if not separator or not number.strip().isdecimal():
            allowed = "USER=WORKERS, and *=WORKERS for everybody else, with commas"
            raise SpecError(f"{part!r} is no quota. Allowed: {allowed}.")
        quotas[name.strip()] = int(number)
    return quotas.get(user, quotas.get("*"))


def _entries(connection: sqlalchemy.Connection) -> tuple[Entry, ...]:
    rows = connection.execute(_selected().order_by(QUEUE.c.submitted, QUEUE.c.study))
    return tuple(entry for row in rows if (entry := _of_row(row)) is not None)


def _entry(connection: sqlalchemy.Connection, study: str) -> Entry | None:
    row = connection.execute(_selected().where(QUEUE.c.study == study).with_for_update()).one_or_none()
    return None if row is None else _of_row(row)


def _selected() -> sqlalchemy.Select[Any]:
    """The columns of the queue, without texts that are longer than any of ours."""
    fits = {"spec": MOST_TEXT, "progress": MOST_TEXT}
    columns = (
        sqlalchemy.case((sqlalchemy.func.length(c) <= fits[c.name], c), else_=None).label(c.name)
        if c.name in fits
        else c
        for c in QUEUE.columns
    )
    return sqlalchemy.select(*columns)


def _of_row(row: sqlalchemy.Row[Any]) -> Entry | None:
    """The entry; None where a row is none of ours: whoever has the workers' password can write there."""
    content = dict(row._mapping)
    fault = _fault(content)
    if fault is not None:
        _report(printable(str(content["study"]))[:80], fault)
        return None
    return Entry(**{**content, "progress": _progress(content["progress"])})


def _fault(content: Mapping[str, Any]) -> str | None:
    """What no entry of ours has."""
    if re.fullmatch(NAME, str(content["study"])) is None:
        return "its name is none of a study"
    if content["state"] not in get_args(State):
        return "its state is unknown"
    if not content["owner"].isprintable() or not content["owner"]:
        return "its owner is no user"
    if content["spec"] is None or content["progress"] is None:
        return f"a text in it has more than {MOST_TEXT} characters"
    if not all(type(content[name]) is int for name in ("priority", "wanted")):
        return "its numbers are none"
    if not isinstance(content["quota"], int | None):
        return "its quota is none"
    return None if all(math.isfinite(content[name]) for name in ("submitted", "served")) else "its times are none"


def _progress(text: str) -> dict[str, Any]:
    """What is told of a study, but for what is not of the kind that it should be."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    told = content.items() if isinstance(content, dict) else ()
    return {name: value for name, value in told if name not in OWN and _fits(name, value)}


def _fits(name: str, value: Any) -> bool:
    if name in ("budget", "exit_code"):
        return type(value) is int
    if name == "trials":
        return isinstance(value, dict) and all(type(count) is int for count in value.values())
    if isinstance(value, dict):
        if name == "best":
            return type(value.get("trial")) is int and type(value.get("value")) in (int, float)
        return name == "trouble" and all(isinstance(word, str) for word in value.values())
    return name != "trouble" and (value is None or isinstance(value, str | int | float))


@lru_cache(maxsize=256)
def _report(study: str, fault: str) -> None:
    """Say it once."""
    log.warning("%r in the queue is left alone: %s", study, fault)

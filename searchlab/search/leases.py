"""Who works on which trial, and until when: a table of ours beside Optuna's, kept in the same transactions.

A trial that is claimed is leased with it, for `SECONDS` of the database's own clock, and the supervisor renews its
leases (never the training process).  What runs on a lease that has ended was lost and waits again, under its number and
with its seed.  Why not Optuna's heartbeats: they are refused by its ask-and-tell interface's `claim`, and they fail a
trial and copy it under a new number, so that a budget of N gives other than N trials.

A supervisor that died on this very machine is known by its process, and need not be waited for.

Every change of who holds a trial begins with the lock of the study's row: two reapers, or a reaper and a claimer, come
one after the other.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil
import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState

SECONDS = float(os.environ.get("SEARCHLAB_LEASE_SECONDS") or 60.0)
"""How long a lease lasts; a supervisor renews it three times as often.  Shorter ones are for tests."""

TRIALS = models.TrialModel.__table__
STUDIES = models.StudyModel.__table__

LEASES = sqlalchemy.Table(
    "searchlab_leases",
    sqlalchemy.MetaData(),
    sqlalchemy.Column("trial_id", sqlalchemy.Integer, primary_key=True, autoincrement=False),
    sqlalchemy.Column("owner", sqlalchemy.String(200), nullable=False),
    sqlalchemy.Column("expires", sqlalchemy.Float(53), nullable=False),
)
"""`expires` is in seconds since 1970 by the database's clock."""

NOW = {"sqlite": "(julianday('now') - 2440587.5) * 86400.0", "postgresql": "extract(epoch from clock_timestamp())"}


@dataclass(frozen=True)
class Owner:
    """A supervisor: a process of a machine, told apart from others that had or will have its number."""

    machine: str
    process: int
    started: float

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        return cls(_machine(), os.getpid(), _started(psutil.Process()))

    @classmethod
    def of(cls, name: str) -> Owner | None:
        """From its `name`; None when that is none."""
        machine, _, rest = name.rpartition("/")
        process, _, started = rest.partition("@")
        try:
            return cls(machine, int(process), float(started))
        except ValueError:
            return None

    @property
    def name(self) -> str:
        """In one word, for the table and for people."""
        return f"{self.machine}/{self.process}@{self.started}"

    @property
    def kernel(self) -> str | None:
        """What runs its machine, the same in all of its containers; None where that is not known."""
        parts = self.machine.split(":")
        return parts[1] if len(parts) > 2 else None

    def is_dead_here(self) -> bool:
        """Whether it was a process of this machine and is none any more; False when that cannot be known."""
        if self.machine != _machine():
            return False
        try:
            process = psutil.Process(self.process)
            return process.status() == psutil.STATUS_ZOMBIE or _started(process) != self.started
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False


def make_table(engine: sqlalchemy.Engine) -> None:
    """Make the table where it is not there yet; several processes may be the first at once."""
    try:
        LEASES.create(engine, checkfirst=True)
    except sqlalchemy.exc.SQLAlchemyError:  # another one was quicker between the look and the making
        LEASES.create(engine, checkfirst=True)


def lock(connection: sqlalchemy.Connection, study_id: int) -> bool:
    """Be alone with the study's trials until the transaction ends; False where there is no such study any more."""
    own = sqlalchemy.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id)
    return connection.scalar(own.with_for_update()) is not None


def take(connection: sqlalchemy.Connection, trial_ids: Collection[int], owner: str, seconds: float) -> None:
    """Lease trials that were claimed in this transaction."""
    if trial_ids:
        connection.execute(LEASES.delete().where(LEASES.c.trial_id.in_(trial_ids)))
        expires = now(connection) + seconds
        connection.execute(LEASES.insert(), [{"trial_id": i, "owner": owner, "expires": expires} for i in trial_ids])


def renew(connection: sqlalchemy.Connection, trial_ids: Collection[int], owner: str, seconds: float) -> set[int]:
    """Let the owner's leases last from now on again; the trials that are still its own."""
    own = sqlalchemy.and_(LEASES.c.trial_id.in_(trial_ids), LEASES.c.owner == owner)
    connection.execute(LEASES.update().where(own).values(expires=now(connection) + seconds))
    return set(connection.scalars(sqlalchemy.select(LEASES.c.trial_id).where(own)))


def release(connection: sqlalchemy.Connection, trial_ids: Iterable[int]) -> None:
    """Forget the leases of trials that have ended or wait again."""
    connection.execute(LEASES.delete().where(LEASES.c.trial_id.in_(tuple(trial_ids))))


def held(connection: sqlalchemy.Connection, study_id: int, owner: str) -> set[int]:
    """The study's trials that are leased to `owner`, whether the leases have ended or not."""
    own = sqlalchemy.select(LEASES.c.trial_id).join(TRIALS, TRIALS.c.trial_id == LEASES.c.trial_id)
    return set(connection.scalars(own.where(TRIALS.c.study_id == study_id, LEASES.c.owner == owner)))


def of_others(connection: sqlalchemy.Connection, trial_ids: Collection[int], owner: str) -> set[int]:
    """Those of the trials that run under somebody else's lease; it may have ended, unless its owner died here."""
    joined = LEASES.join(TRIALS, TRIALS.c.trial_id == LEASES.c.trial_id)
    theirs = sqlalchemy.select(LEASES.c.trial_id, LEASES.c.owner).select_from(joined)
    theirs = theirs.where(LEASES.c.trial_id.in_(trial_ids), TRIALS.c.state == TrialState.RUNNING)
    rows = connection.execute(theirs.where(LEASES.c.owner != owner)).all()
    return {row.trial_id for row in rows if (other := Owner.of(row.owner)) is None or not other.is_dead_here()}


def lost(connection: sqlalchemy.Connection, study_id: int, *, by_time: bool = True) -> set[int]:
    """The running trials that nobody works on: their owners died here, or no lease was made, or theirs have ended.

    Without `by_time` those whose leases have ended are not among them.
    """
    joined = TRIALS.outerjoin(LEASES, LEASES.c.trial_id == TRIALS.c.trial_id)
    rows = connection.execute(
        sqlalchemy.select(TRIALS.c.trial_id, LEASES.c.owner, LEASES.c.expires)
        .select_from(joined)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.RUNNING)
    ).all()
    time = now(connection)
    owners = {row.owner: Owner.of(row.owner) for row in rows if row.owner is not None}
    dead = {name for name, owner in owners.items() if owner is not None and owner.is_dead_here()}
    ended = {row.trial_id for row in rows if by_time and row.owner is not None and row.expires < time}
    return ended | {row.trial_id for row in rows if row.owner is None or row.owner in dead}


def now(connection: sqlalchemy.Connection) -> float:
    """Seconds since 1970, by the database's clock."""
    return float(connection.scalar(sqlalchemy.text(f"SELECT {NOW[connection.dialect.name]}")))


def elsewhere(connection: sqlalchemy.Connection, owner: str) -> str | None:
    """The name of another machine that has leases which last; None where there is none, or it cannot be told."""
    here = Owner.of(owner)
    names = connection.scalars(sqlalchemy.select(LEASES.c.owner).where(LEASES.c.expires > now(connection)).distinct())
    for other in map(Owner.of, names):
        if here is not None and other is not None and None not in (here.kernel, other.kernel):
            if here.kernel != other.kernel:
                return other.machine.partition(":")[0]
    return None


def _started(process: psutil.Process) -> float:
    """When it was started, the same whenever it is asked.

    On Linux in seconds since the machine was.  Not since 1970: that is reckoned from the wall clock of whoever asks,
    and after the clock was set (as machines do that wake up) every supervisor would take the others for dead.
    """
    try:
        line = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        if sys.platform == "linux":
            raise psutil.NoSuchProcess(process.pid) from None
        return round(process.create_time(), 2)
    return int(line.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


@cache
def _machine() -> str:
    """This machine since it was started, and within it the name space in which process numbers mean something.

    Not its name alone: containers of one machine have several, and copies of one machine share theirs.
    """
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if not boot.exists() or not space.exists():
        return socket.gethostname()
    return f"{socket.gethostname()}:{boot.read_text()[:8]}:{os.readlink(space)}"

"""Optuna's tables with a memory before them: reading costs no query, and what belongs together is one transaction.

Why not Optuna's own storage: it writes each parameter, attribute and value in a transaction of its own, about ten
statements each, and looks through all trials for every question.  Processor time in the embedded store, in ms, Optuna's
storage → here (`benchmarks/ask_tell.py --cpu`):

    random, finished trials   to ask          a trial of 10 epochs    … with successive halving
    10                        26  → 3.8       52  → 5.3               90  → 15
    1,000                     34  → 4.4       56  → 6.0               103 → 13
    10,000                    131 → 8.2       156 → 9.9               229 → 34

Under `tpe` asking costs 41 → 7, 66 → 32 and 384 → 247: what is left are its densities, whose cost grows with the trials
they are made of; and a rung of successive halving looks at the values of all trials (Optuna's, both).  Opening a study
of 10,000 takes 2 s in place of 9.  The tables are the same, so what reads Optuna's storages reads ours.

What another process writes is seen at the next `refresh`.  For use from one thread.

Whatever fails may be asked again, also where the database has done it and only its answer was lost: what was gathered
is written once more, with the same outcome, and what was claimed without our hearing of it waits again (`settle`).
"""

from __future__ import annotations

import copy
import functools
import json
import logging
import math
import random
import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import postgresql, sqlite

from searchlab.errors import StorageLost, StudyConflict
from searchlab.failpoints import failpoint
from searchlab.search import leases
from searchlab.search.intake import MOST_BYTES, count_of
from searchlab.search.leases import TRIALS
from searchlab.search.sqlite_file import READS, RECIPE

log = logging.getLogger(__name__)

UPSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""How each database is told to insert a row or to change the one that is there."""

PATIENCE = 1.0
"""Seconds that a patient write waits for company at most."""

STUDY_ATTRS = models.StudyUserAttributeModel.__table__
PARAMS = models.TrialParamModel.__table__
USER_ATTRS = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS = models.TrialSystemAttributeModel.__table__
VALUES = models.TrialValueModel.__table__
CURVES = models.TrialIntermediateValueModel.__table__
KEYS: Mapping[sqlalchemy.Table, str] = {
    PARAMS: "param_name",
    USER_ATTRS: "key",
    SYSTEM_ATTRS: "key",
    VALUES: "objective",
    CURVES: "step",
}
"""What tells the rows of one trial apart."""

COUNTS = ("attempt", "losses", "lost_after")

COLLISIONS = ("40001", "40P01")
"""What PostgreSQL says when it ended one of two transactions that stood in each other's way: to be begun again."""

LOST_TRIALS = (
    "the storage has lost trials of this study that it had: an older copy of it was put back, or trials were deleted "
    "in it. What the trials came to is kept in results.jsonl in the study's folder: put the newest copy back, or  "
    "searchlab restore STUDY  tells it again"
)

TRIES = 5
"""So often a transaction is begun that collides with others."""

_NONE = optuna.distributions.CategoricalDistribution(("no distribution of ours",))

P = ParamSpec("P")
T = TypeVar("T")

FINISHED = tuple(state for state in TrialState if state.is_finished())
Row = dict[str, Any]


def mirrored(study: optuna.Study) -> optuna.Study:
    """The same study behind a `Mirror`; as it is when its storage is none of ours (one in memory)."""
    storage = study._storage
    if isinstance(storage, _CachedStorage) and storage._backend.engine.dialect.name in UPSERTS:
        mirror = Mirror(storage._backend, study._study_id)
        return optuna.load_study(study_name=study.study_name, storage=mirror)
    return study


def disconnect(storage: optuna.storages.BaseStorage) -> None:
    """Leave the connections of a storage, which a server may have few of."""
    if isinstance(storage, Mirror | _CachedStorage):
        storage._backend.engine.dispose()


def define(study: optuna.Study, content: Mapping[str, Any]) -> None:
    """Store what the study is, unless another process has done so."""
    storage = study._storage
    if not isinstance(storage, _CachedStorage) or storage._backend.engine.dialect.name not in UPSERTS:
        study.set_user_attr("definition", content)
        return
    engine = storage._backend.engine
    row = {"study_id": study._study_id, "key": "definition", "value_json": json.dumps(content)}
    try:
        with engine.begin() as connection:
            insert: Any = UPSERTS[engine.dialect.name](STUDY_ATTRS)
            connection.execute(insert.on_conflict_do_nothing(), row)
    except sqlalchemy.exc.SQLAlchemyError as failure:
        raise StorageInternalError(str(failure)) from failure


def together(study: optuna.Study, *, patient: bool = False) -> AbstractContextManager[None]:
    """While inside, writes are gathered; they are one transaction at the end, a patient one a little later."""
    storage = study._storage
    return storage.together(patient=patient) if isinstance(storage, Mirror) else nullcontext()


def refresh(study: optuna.Study) -> None:
    """Take over what other processes have written to the study."""
    if isinstance(study._storage, Mirror):
        study._storage.refresh()


def enqueue(study: optuna.Study, trials: Sequence[FrozenTrial], *, first: int) -> bool:
    """Add trials that wait to be claimed under the numbers from `first` on; False, and nothing, if those are taken."""
    if isinstance(study._storage, Mirror):
        return bool(study._storage.create(trials, first=first))
    for trial in trials:
        study._storage.create_new_trial(study._study_id, trial)
    return True


def lease(study: optuna.Study, owner: str, seconds: float) -> None:
    """Lease to `owner`, for so long, what is claimed from now on."""
    if isinstance(study._storage, Mirror):
        study._storage.lease(owner, seconds)


def renew(study: optuna.Study) -> tuple[int, ...]:
    """Let the leases of this process's running trials last on; the numbers of those that it has lost to others."""
    return study._storage.renew() if isinstance(study._storage, Mirror) else ()


def is_ours(study: optuna.Study, trial_id: int) -> bool:
    """Whether this process holds the trial, as far as it knows."""
    return not isinstance(study._storage, Mirror) or trial_id in study._storage._mine


def reap(study: optuna.Study, attempts: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Have lost trials wait again: their numbers, and those of trials that were lost in all `attempts` already."""
    return study._storage.reap(attempts) if isinstance(study._storage, Mirror) else ((), ())


def settle(study: optuna.Study, known: Collection[int]) -> None:
    """Have wait again what this process has claimed but for the trials with the `known` numbers.

    Those are trials whose claim was answered to nobody: the database did it, and the answer was lost.
    """
    if isinstance(study._storage, Mirror):
        study._storage.settle(known)


@contextmanager
def within(study: optuna.Study, budget: int | None) -> Iterator[None]:
    """While inside, a trial beyond `budget` is refused.

    Raises:
        BudgetSpent: It was.
    """
    storage = study._storage
    if not isinstance(storage, Mirror):
        yield
        return
    storage.budget = budget
    try:
        yield
    finally:
        storage.budget = None


def claim(study: optuna.Study, trial_ids: Iterable[int]) -> tuple[int, ...]:
    """Set waiting trials running; those that no other process was quicker with."""
    if isinstance(study._storage, Mirror):
        return study._storage.claim(tuple(trial_ids))
    return tuple(i for i in trial_ids if study._storage.set_trial_state_values(i, TrialState.RUNNING))


def losses(attributes: Mapping[str, Any], epochs: int) -> int:
    """How often a trial was lost, this time included, since it came as far as it is after `epochs`.

    Why not how often at all: what kills its supervisor does it at the same place again, while machines that come and go
    take a long trial from one to the next, which goes on from its checkpoint and gets to its end.
    """
    losses, lost_after = (count_of(attributes.get(key), 0) for key in ("losses", "lost_after"))
    return losses + 1 if epochs <= lost_after else 1


class BudgetSpent(Exception):
    """Other processes have asked for the last trials of the study."""


def _again(ask: Callable[Concatenate[Mirror, P], T]) -> Callable[Concatenate[Mirror, P], T]:
    """Begin a transaction again that has collided with another."""

    @functools.wraps(ask)
    def asking(mirror: Mirror, /, *arguments: P.args, **named: P.kwargs) -> T:
        for attempt in range(1, TRIES):
            try:
                return ask(mirror, *arguments, **named)
            except StorageInternalError as failure:
                if getattr(getattr(failure.__cause__, "orig", None), "sqlstate", None) not in COLLISIONS:
                    raise
                time.sleep(0.02 * 2**attempt * random.random())
        return ask(mirror, *arguments, **named)

    return asking


class Mirror(optuna.storages.BaseStorage):  # type: ignore[misc]
    """The trials of one study."""

    def __init__(self, backend: optuna.storages.RDBStorage, study_id: int) -> None:
        self._backend = backend
        self._study_id = study_id
        self._trials: dict[int, FrozenTrial] = {}
        self._numbers: dict[int, int] = {}
        self._unfinished: set[int] = set()
        self._waiting: set[int] = set()
        self._mine: set[int] = set()
        """The trials that this process runs: nobody else writes to them while they are unfinished."""
        self._drawn: set[int] = set()
        """The trials that it made for whoever claims them first."""
        self._newest = -1
        self._distributions: dict[str, optuna.distributions.BaseDistribution] = {}
        self._depth = 0
        self._rows: dict[sqlalchemy.Table, dict[tuple[int, Any], Row]] = {}
        self._states: dict[int, Row] = {}
        self._flushed = 0.0
        self._upserts = {table: _upserted(UPSERTS[backend.engine.dialect.name], table) for table in KEYS}
        self._is_loaded = False
        self._lease: tuple[str, float] | None = None
        self._failed = -math.inf
        """When the database was last out of reach, by the monotonic clock."""
        self.budget: int | None = None
        """No trial that runs at once gets this number or a higher one."""
        self.looks_at: Callable[[FrozenTrial], FrozenTrial] = _as_it_is
        """What is kept of a trial that was read."""

    # Reading ---------------------------------------------------------------------------------------------------------

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """From memory."""
        self._load()
        return self._trials[self._numbers[trial_id]]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """From memory, by number."""
        self._load()
        if states == (TrialState.WAITING,):
            trials = [self._trials[number] for number in sorted(self._waiting)]
        else:
            trials = [trial for trial in self._trials.values() if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """From memory; no walk over the trials for all of them and for those that wait."""
        self._load()
        if state is None:
            return len(self._trials)
        if state == TrialState.WAITING:
            return len(self._waiting)
        return int(super().get_n_trials(study_id, state))

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """From memory."""
        self._load()
        return int(self._trials[trial_number]._trial_id)

    def refresh(self) -> None:
        """Take over the new trials and all changes of those that are not this process's own."""
        self._catch_up()
        if not self._is_loaded:
            return self._load()
        foreign = self._unfinished - self._mine
        is_of_interest = sqlalchemy.or_(TRIALS.c.trial_id > self._newest, TRIALS.c.trial_id.in_(foreign))
        states = sqlalchemy.select(TRIALS.c.trial_id, TRIALS.c.state)
        with self._begun(reads=True) as connection:
            rows = connection.execute(states.where(TRIALS.c.study_id == self._study_id, is_of_interest)).all()
        still = TrialState.WAITING  # a trial that waited and waits has not changed
        self._read(
            {i for i, state in rows if i > self._newest or state is not still or self.get_trial(i).state != still}
        )

    def _load(self) -> None:
        if not self._is_loaded:
            self._is_loaded = True
            self._fetch(sqlalchemy.true())

    def _read(self, trial_ids: set[int]) -> None:
        self._drawn -= trial_ids
        if trial_ids:
            self._fetch(TRIALS.c.trial_id.in_(trial_ids))

    @_again
    def _fetch(self, which: sqlalchemy.ColumnElement[bool]) -> None:
        """Read those trials of the study; far quicker than Optuna's way, which makes an object of each row."""
        chosen = sqlalchemy.and_(TRIALS.c.study_id == self._study_id, which)
        with self._begun(reads=True) as connection:
            trials = connection.execute(sqlalchemy.select(TRIALS).where(chosen).order_by(TRIALS.c.trial_id)).all()
            parts: dict[sqlalchemy.Table, dict[int, list[Any]]] = {}
            for table in KEYS:
                rows = (
                    sqlalchemy.select(*_readable(table))
                    .join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
                    .where(chosen)
                )
                found = parts.setdefault(table, {})
                for row in connection.execute(rows.order_by(*table.primary_key)):
                    found.setdefault(row.trial_id, []).append(row)
        for row in trials:
            if row.number is None or row.number < 0:  # none of ours, and none can be claimed by that
                log.warning("a trial without a number is in the storage; it is left alone")
                continue
            trial = self._frozen(row, *(parts[table].get(row.trial_id, ()) for table in KEYS))
            self._put(self.looks_at(trial))

    def _frozen(self, row: Any, params: Any, user: Any, system: Any, values: Any, curve: Any) -> FrozenTrial:
        known = {param.param_name: self._distribution(param.distribution_json) for param in params}
        chosen = {p.param_name: _external(known[p.param_name], p.param_value) for p in params}
        numbers = [models.TrialValueModel.stored_repr_to_value(value.value, value.value_type) for value in values]
        heard = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
        return FrozenTrial(
            number=row.number,
            state=row.state,
            value=None,
            values=numbers or None,
            datetime_start=_local(row.datetime_start),
            datetime_complete=_local(row.datetime_complete),
            params=chosen,
            distributions=known,
            user_attrs={attribute.key: _parsed(attribute.value_json) for attribute in user},
            system_attrs={attribute.key: _parsed(attribute.value_json) for attribute in system},
            intermediate_values={
                point.step: heard(point.intermediate_value, point.intermediate_value_type) for point in curve
            },
            trial_id=row.trial_id,
        )

    def _distribution(self, text: str) -> optuna.distributions.BaseDistribution:
        if text not in self._distributions:
            try:
                self._distributions[text] = optuna.distributions.json_to_distribution(text)
            except Exception:  # whatever it is that somebody wrote there: no dimension of ours
                return _NONE
        return self._distributions[text]

    def _put(self, trial: FrozenTrial) -> None:
        number, trial_id = trial.number, trial._trial_id
        self._trials[number] = trial
        self._numbers[trial_id] = number
        self._newest = max(self._newest, trial_id)
        waits, finished = trial.state is TrialState.WAITING, trial.state.is_finished()
        (self._waiting.add if waits else self._waiting.discard)(number)
        (self._unfinished.discard if finished else self._unfinished.add)(trial_id)
        if finished:
            self._mine.discard(trial_id)

    # Writing ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def together(self, *, patient: bool = False) -> Iterator[None]:
        """While inside, writes are gathered; at the outermost end they are one transaction."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth and not (patient and time.monotonic() - self._flushed < PATIENCE):
                self._flush()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """At once, since its number is wanted."""
        now = datetime.now()
        blank = FrozenTrial(-1, TrialState.RUNNING, None, now, None, {}, {}, {}, {}, {}, -1)
        (trial_id,) = self.create([template_trial or blank])
        return trial_id

    @_again
    def create(self, templates: Sequence[FrozenTrial], *, first: int | None = None) -> tuple[int, ...]:
        """One transaction for all of them; they get the next numbers, in their order.

        Nothing is made when `first` is given and is not the next number.
        """
        self._load()
        with self._begun() as connection:
            self._lock(connection)  # two processes must not give one number twice
            of_study = TRIALS.c.study_id == self._study_id
            latest = sqlalchemy.select(TRIALS.c.number).where(of_study).order_by(TRIALS.c.trial_id.desc()).limit(1)
            last = connection.scalar(latest)
            following = 0 if last is None else last + 1
            if following < len(self._trials):
                raise StudyConflict(LOST_TRIALS)
            if first is not None and first != following:
                return ()
            runs = [trial.state is TrialState.RUNNING for trial in templates]
            if self.budget is not None and any(runs) and following + len(runs) > self.budget:
                raise BudgetSpent
            rows = [
                {"study_id": self._study_id, "number": number, "state": trial.state, **_times(trial)}
                for number, trial in enumerate(templates, start=following)
            ]
            connection.execute(TRIALS.insert(), rows)
            made = sqlalchemy.select(TRIALS.c.trial_id).where(of_study, TRIALS.c.trial_id > self._newest)
            made = made.where(TRIALS.c.number >= following).order_by(TRIALS.c.number)
            trial_ids = tuple(connection.scalars(made))
            self._take(connection, [i for i, runs_now in zip(trial_ids, runs, strict=True) if runs_now])
            content: dict[sqlalchemy.Table, list[Row]] = {}
            for trial_id, trial in zip(trial_ids, templates, strict=True):
                for table, row in _rows_of(trial, trial_id):
                    content.setdefault(table, []).append(row)
            for table, table_rows in content.items():
                connection.execute(table.insert(), table_rows)
        known = len(self._trials)
        if following > known:  # those of others come first
            self._fetch(TRIALS.c.trial_id > self._newest)
        for number, (trial_id, template) in enumerate(zip(trial_ids, templates, strict=True), start=following):
            trial = copy.copy(template)
            trial.number, trial._trial_id = number, trial_id
            (self._mine if trial.state is TrialState.RUNNING else self._drawn).add(trial_id)
            self._put(trial)
        return trial_ids

    @_again
    def claim(self, trial_ids: Sequence[int]) -> tuple[int, ...]:
        """Set waiting trials running; those that no other process was quicker with."""
        self._catch_up()
        wanted, now = tuple(i for i in trial_ids if self._is_within(i)), datetime.now()
        change = {"state": TrialState.RUNNING, "datetime_start": _utc(now)}
        with self._begun() as connection:
            self._lock(connection)
            claimed = tuple(
                trial_id
                for trial_id in wanted
                if connection.execute(
                    TRIALS.update()
                    .where(TRIALS.c.trial_id == trial_id, TRIALS.c.state == TrialState.WAITING)
                    .values(change)
                ).rowcount
            )
            self._take(connection, claimed)
            begun = self._begun_by_others(connection, claimed)
        self._mine -= set(wanted) - set(claimed)
        self._read(set(wanted) - (set(claimed) & (self._mine | self._drawn) - begun))
        self._drawn -= set(wanted)
        for trial_id in claimed:
            trial = self._changed(trial_id)
            trial.state, trial.datetime_start = TrialState.RUNNING, now
            self._mine.add(trial_id)
            self._put(trial)
        return claimed

    def _is_within(self, trial_id: int) -> bool:
        """Whether a waiting trial may be claimed: others may have let more of them wait than the budget has."""
        return self.budget is None or self._numbers[trial_id] < self.budget

    def _begun_by_others(self, connection: sqlalchemy.Connection, claimed: Iterable[int]) -> set[int]:
        """The trials that this process drew ahead, and that others have begun and lost before it claims them."""
        made = self._drawn & set(claimed)
        counted = sqlalchemy.and_(USER_ATTRS.c.trial_id.in_(made), USER_ATTRS.c.key == "attempt")
        return set(connection.scalars(sqlalchemy.select(USER_ATTRS.c.trial_id).where(counted))) if made else set()

    def lease(self, owner: str, seconds: float) -> None:
        """Lease to `owner` what is claimed from now on.

        Raises:
            StudyConflict: The storage is a file that another machine works on.
        """
        with self._answering():
            leases.make_table(self._backend.engine)
        if self._backend.engine.dialect.name == "sqlite":
            with self._begun(reads=True) as connection:
                other = leases.elsewhere(connection, owner)
            if other is not None:
                raise StudyConflict(
                    f"the machine {other!r} works on this SQLite file too, and SQLite serves one machine. {RECIPE}. "
                    f"If that machine has stopped: wait for {leases.SECONDS:g} s"
                )
        self._lease = (owner, seconds)

    @_again
    def renew(self) -> tuple[int, ...]:
        """Let the leases of what this process runs last on; the numbers of trials that were taken from it."""
        running = {i for i in self._mine if self.get_trial(i).state is TrialState.RUNNING}
        if self._lease is None or not running:
            return ()
        with self._begun() as connection:
            kept = leases.renew(connection, running, *self._lease)
        taken = running - kept
        self._mine -= taken
        self._read(taken)
        return tuple(sorted(self._numbers[i] for i in taken))

    @_again
    def reap(self, attempts: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Have running trials that nobody works on wait for another attempt; see the function of this name.

        For as long as a lease lasts after the database was out of reach, leases that have ended say nothing: nobody
        could renew them.
        """
        self._catch_up()
        self._load()
        if self._lease is None:
            with self._answering():
                leases.make_table(self._backend.engine)
        with self._begun() as connection:
            self._lock(connection)
            self._look_back(connection)
            calm = time.monotonic() - self._failed > (self._lease[1] if self._lease else leases.SECONDS)
            lost = leases.lost(connection, self._study_id, by_time=calm) - (self._mine if self._lease else set())
            lost = self._still_running(connection, lost)
            counts = {i: self._counted(connection, i) for i in lost}
            spent = {i for i in lost if counts[i]["losses"] >= attempts}
            rows = [
                {"trial_id": i, "key": key, "value_json": json.dumps(count)}
                for i in lost - spent
                for key, count in counts[i].items()
            ]
            if rows:
                connection.execute(self._upserts[USER_ATTRS], rows)
                failpoint("reap.counted")
                again = TRIALS.update().where(TRIALS.c.trial_id.in_(lost - spent))
                connection.execute(again.values(state=TrialState.WAITING))
            leases.release(connection, lost)
            self._take(connection, spent)
            failpoint("reap.released")
        failpoint("reap.done")
        self._mine = (self._mine - lost) | spent
        self._read(lost)
        waiting, over = (tuple(sorted(self._numbers[i] for i in some)) for some in (lost - spent, spent))
        return waiting, over

    @staticmethod
    def _still_running(connection: sqlalchemy.Connection, trial_ids: Collection[int]) -> set[int]:
        """Those of the trials that nobody has ended since they were looked for, nor can until the transaction ends."""
        running = sqlalchemy.select(TRIALS.c.trial_id).where(
            TRIALS.c.trial_id.in_(trial_ids), TRIALS.c.state == TrialState.RUNNING
        )
        return set(connection.scalars(running.order_by(TRIALS.c.trial_id).with_for_update())) if trial_ids else set()

    def _counted(self, connection: sqlalchemy.Connection, trial_id: int) -> Row:
        """The attributes of a trial that was lost, with this loss."""
        last = sqlalchemy.select(sqlalchemy.func.max(CURVES.c.step)).where(CURVES.c.trial_id == trial_id)
        epochs = int(connection.scalar(last) or 0)
        wanted = sqlalchemy.and_(USER_ATTRS.c.trial_id == trial_id, USER_ATTRS.c.key.in_(COUNTS))
        found = connection.execute(sqlalchemy.select(*_readable(USER_ATTRS)).where(wanted)).all()
        known = {row.key: _parsed(row.value_json) for row in found}
        return {
            "attempt": count_of(known.get("attempt"), 1) + 1,
            "losses": losses(known, epochs),
            "lost_after": epochs,
        }

    @_again
    def settle(self, known: Collection[int]) -> None:
        """Have wait again what this process has claimed but for the `known`; see the function of this name."""
        self._catch_up()
        self._load()
        with self._begun() as connection:
            self._lock(connection)  # what this process has asked for before is done by now, or never
            held = self._mine if self._lease is None else leases.held(connection, self._study_id, self._lease[0])
            ghosts = held - {self._trials[number]._trial_id for number in known if number in self._trials}
            found = TRIALS.update().where(TRIALS.c.trial_id.in_(ghosts), TRIALS.c.state == TrialState.RUNNING)
            connection.execute(found.values(state=TrialState.WAITING))
            leases.release(connection, ghosts)
        self._mine -= ghosts
        self.refresh()

    def _lock(self, connection: sqlalchemy.Connection) -> None:
        if not leases.lock(connection, self._study_id):
            raise StorageLost(
                "the study was deleted from the storage while it was in use. What its trials came to is kept in "
                "results.jsonl in the study's folder:  searchlab restore STUDY  makes it again"
            )

    def _look_back(self, connection: sqlalchemy.Connection) -> None:
        """Refuse a storage that has fewer trials, or fewer that have ended, than it had: neither is ever taken back."""
        of_study = TRIALS.c.study_id == self._study_id
        count = sqlalchemy.select(sqlalchemy.func.count()).select_from(TRIALS).where(of_study)
        there = connection.scalar(count) or 0
        ended = connection.scalar(count.where(TRIALS.c.state.in_(FINISHED))) or 0
        if there < len(self._trials) or ended < len(self._trials) - len(self._unfinished):
            raise StudyConflict(LOST_TRIALS)

    def _take(self, connection: sqlalchemy.Connection, trial_ids: Sequence[int] | set[int]) -> None:
        if self._lease is not None:
            leases.take(connection, trial_ids, *self._lease)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """A claim at once, since its outcome is wanted; an ending with what else is told."""
        if state is TrialState.RUNNING:
            self._check(trial_id)
            return bool(self.claim([trial_id]))
        trial, now = self._updated(trial_id), datetime.now()
        trial.state = state
        for objective, value in enumerate(values or ()):
            self._write(VALUES, trial_id, objective, _value_row(value))
        if values is not None:
            trial.values = list(values)
        if state is TrialState.WAITING:
            self._mine.discard(trial_id)
        self._states[trial_id] = {"state": state}
        if state.is_finished():
            trial.datetime_complete = now
            self._states[trial_id]["datetime_complete"] = _utc(now)
        self._put(trial)
        self._written()
        return True

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: optuna.distributions.BaseDistribution,
    ) -> None:
        """As Optuna's storages do."""
        trial = self._updated(trial_id)
        trial.distributions = {**trial.distributions, param_name: distribution}
        trial.params = {**trial.params, param_name: distribution.to_external_repr(param_value_internal)}
        self._write(PARAMS, trial_id, param_name, _param_row(param_value_internal, distribution))
        self._written()

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """As Optuna's storages do."""
        trial = self._updated(trial_id)
        trial.intermediate_values = {**trial.intermediate_values, step: intermediate_value}
        self._write(CURVES, trial_id, step, _curve_row(intermediate_value))
        self._written()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """As Optuna's storages do."""
        trial, text = self._updated(trial_id), json.dumps(value)
        trial.user_attrs = {**trial.user_attrs, key: json.loads(text)}
        self._write(USER_ATTRS, trial_id, key, {"value_json": text})
        self._written()

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """As Optuna's storages do."""
        trial, text = self._updated(trial_id), json.dumps(value)
        trial.system_attrs = {**trial.system_attrs, key: json.loads(text)}
        self._write(SYSTEM_ATTRS, trial_id, key, {"value_json": text})
        self._written()

    def _check(self, trial_id: int) -> None:
        self.check_trial_is_updatable(trial_id, self.get_trial(trial_id).state)

    def _updated(self, trial_id: int) -> FrozenTrial:
        self._check(trial_id)
        return self._changed(trial_id)

    def _changed(self, trial_id: int) -> FrozenTrial:
        """A copy to change, in the place of the trial: whoever holds the old one sees it stay as it was."""
        trial = copy.copy(self.get_trial(trial_id))
        self._trials[trial.number] = trial
        return trial

    def _write(self, table: sqlalchemy.Table, trial_id: int, key: Any, content: Row) -> None:
        self._rows.setdefault(table, {})[trial_id, key] = {"trial_id": trial_id, KEYS[table]: key, **content}

    def _written(self) -> None:
        if not self._depth:
            self._flush()

    def _flush(self) -> None:
        """Write what was gathered, in one transaction; no ending of a trial that another process works on.

        Raises:
            UpdateFinishedTrialError: Another process has ended a trial; what was gathered of it is not written.
            StudyConflict: The storage knows nothing of a trial any more.
        """
        rows, self._rows = self._rows, {}
        states, self._states = self._states, {}
        try:
            self._write_down(rows, states)
        except (StorageInternalError, StorageLost):  # out of reach: to be written at the next attempt
            self._rows = {table: rows.get(table, {}) | self._rows.get(table, {}) for table in {*rows, *self._rows}}
            self._states = {i: states.get(i, {}) | self._states.get(i, {}) for i in {*states, *self._states}}
            raise

    def _catch_up(self) -> None:
        """Write what patient writes have left.  That others have ended its trials is no news to whoever asks now."""
        try:
            self._flush()
        except UpdateFinishedTrialError as error:
            log.info("%s", error)

    @_again
    def _write_down(
        self, rows: Mapping[sqlalchemy.Table, Mapping[tuple[int, Any], Row]], states: Mapping[int, Row]
    ) -> None:
        touched = {trial_id for table in rows.values() for trial_id, _ in table} | set(states)
        self._flushed = time.monotonic()
        if not touched:
            return
        with self._begun() as connection:
            known = sqlalchemy.select(TRIALS.c.trial_id, TRIALS.c.state).where(TRIALS.c.trial_id.in_(touched))
            # Locked, or a reaper could take them before they are written.
            found = connection.execute(known.order_by(TRIALS.c.trial_id).with_for_update()).all()
            if len(found) < len(touched):
                self._lock(connection)
                raise StudyConflict(LOST_TRIALS)
            ended = {trial_id for trial_id, state in found if state in FINISHED}
            late = self._late(connection, states) - ended
            left = ended | self._given_before(connection, states)
            left |= leases.of_others(connection, late, self._lease[0]) if late and self._lease else set()
            for table, content in rows.items():
                kept = [row for (trial_id, _), row in content.items() if trial_id not in left]
                if kept:
                    connection.execute(self._upserts[table], kept)
            for trial_id, change in states.items():
                if trial_id not in left:
                    connection.execute(TRIALS.update().where(TRIALS.c.trial_id == trial_id).values(change))
            if states and self._lease is not None:
                leases.release(connection, set(states) - left)
        if late:  # refused, or an attempt was counted that nobody had begun
            self._mine -= late
            self._read(late)
        if ended:
            self._mine -= ended
            self._read(ended)
            numbers = ", ".join(str(self._numbers[trial_id]) for trial_id in sorted(ended))
            raise UpdateFinishedTrialError(f"ended by another process before: trial {numbers}")

    def _late(self, connection: sqlalchemy.Connection, states: Mapping[int, Row]) -> set[int]:
        """Those of the trials that shall end which this process does not hold any more."""
        ending = {i for i, change in states.items() if change["state"] in FINISHED}
        if not ending or self._lease is None:
            return set()
        return ending - leases.held(connection, self._study_id, self._lease[0])

    def _given_before(self, connection: sqlalchemy.Connection, states: Mapping[int, Row]) -> set[int]:
        """Those of the trials that shall wait again which do so already, or which another one holds by now."""
        given = {i for i, change in states.items() if change["state"] is TrialState.WAITING}
        if not given or self._lease is None:
            return set()
        return given - leases.held(connection, self._study_id, self._lease[0])

    @contextmanager
    def _begun(self, *, reads: bool = False) -> Iterator[sqlalchemy.Connection]:
        """A transaction; its errors are those that Optuna's storages raise."""
        with self._answering(), self._backend.engine.execution_options(**{READS: reads}).begin() as connection:
            yield connection

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except sqlalchemy.exc.SQLAlchemyError as failure:
            self._failed = time.monotonic()
            raise StorageInternalError(str(failure)) from failure

    # Of the study itself: Optuna's way -------------------------------------------------------------------------------

    def create_new_study(self, directions: Any, study_name: str | None = None) -> int:
        """As the storage behind."""
        return int(self._backend.create_new_study(directions, study_name))

    def delete_study(self, study_id: int) -> None:
        """As the storage behind."""
        self._backend.delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """As the storage behind."""
        self._backend.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """As the storage behind."""
        self._backend.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        """As the storage behind."""
        return int(self._backend.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        """As the storage behind."""
        return str(self._backend.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> Any:
        """As the storage behind."""
        return self._backend.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """As the storage behind."""
        attributes: dict[str, Any] = self._backend.get_study_user_attrs(study_id)
        return attributes

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """As the storage behind."""
        attributes: dict[str, Any] = self._backend.get_study_system_attrs(study_id)
        return attributes

    def get_all_studies(self) -> Any:
        """As the storage behind."""
        return self._backend.get_all_studies()


def looked_at(study: optuna.Study, by: Callable[[FrozenTrial], FrozenTrial]) -> None:
    """Keep of each trial that is read from now on what `by` makes of it."""
    if isinstance(study._storage, Mirror):
        study._storage.looks_at = by


def _as_it_is(trial: FrozenTrial) -> FrozenTrial:
    return trial


def _readable(table: sqlalchemy.Table) -> list[Any]:
    """The columns of a table, without texts that are longer than any of ours."""
    return [
        sqlalchemy.case((sqlalchemy.func.length(column) <= MOST_BYTES, column), else_=None).label(column.name)
        if column.name in ("value_json", "distribution_json")
        else column
        for column in table.columns
    ]


def _parsed(text: str | None) -> Any:
    """The JSON value; None, which no attribute of ours is, for what is none or too long."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def _external(known: optuna.distributions.BaseDistribution, value: Any) -> Any:
    try:
        return known.to_external_repr(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _upserted(insert: Any, table: sqlalchemy.Table) -> Any:
    keys = ("trial_id", KEYS[table])
    kept = {*keys, *table.primary_key.columns.keys()}
    statement = insert(table)
    changes = {name: statement.excluded[name] for name in table.columns.keys() if name not in kept}
    return statement.on_conflict_do_update(index_elements=keys, set_=changes)


def _rows_of(trial: FrozenTrial, trial_id: int) -> Iterator[tuple[sqlalchemy.Table, Row]]:
    """What a new trial brings along, but for its own row."""
    for name, value in trial.params.items():
        known = trial.distributions[name]
        yield PARAMS, {"trial_id": trial_id, "param_name": name, **_param_row(known.to_internal_repr(value), known)}
    for table, content in ((USER_ATTRS, trial.user_attrs), (SYSTEM_ATTRS, trial.system_attrs)):
        for key, value in content.items():
            yield table, {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
    for step, value in trial.intermediate_values.items():
        yield CURVES, {"trial_id": trial_id, "step": step, **_curve_row(value)}
    for objective, value in enumerate(trial.values or ()):
        yield VALUES, {"trial_id": trial_id, "objective": objective, **_value_row(value)}


def _param_row(internal: float, known: optuna.distributions.BaseDistribution) -> Row:
    return {"param_value": internal, "distribution_json": optuna.distributions.distribution_to_json(known)}


def _value_row(value: float) -> Row:
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    return {"value": stored, "value_type": kind}


def _curve_row(value: float) -> Row:
    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    return {"intermediate_value": stored, "intermediate_value_type": kind}


def _times(trial: FrozenTrial) -> Row:
    return {"datetime_start": _utc(trial.datetime_start), "datetime_complete": _utc(trial.datetime_complete)}


def _utc(moment: datetime | None) -> datetime | None:
    """As Optuna's tables hold it: UTC without a zone."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _local(moment: datetime | None) -> datetime | None:
    """As Optuna's trials hold it: local time without a zone."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)

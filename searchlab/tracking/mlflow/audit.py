"""Whether MLflow has what the storage and the journals have, run by run and point by point; and making it so.

Both sides become the same rows: (trial, attempt, end, parameters, the objective after each epoch, final numbers), and
what the journals of this machine hold of every metric is looked for too.  Runs that differ are deleted (MLflow can
restore them) and written anew: from the journals, and from the storage where another machine has those.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from searchlab.records import ENDED, StudyResult, TrialRecord
from searchlab.tracking import Audit, Delivery, StoredRun, StudyStart
from searchlab.tracking.mlflow import words
from searchlab.tracking.mlflow.content import Content
from searchlab.tracking.mlflow.journal import BATCH
from searchlab.tracking.mlflow.outbox import Outbox
from searchlab.tracking.mlflow.steps import Step, run_uid
from searchlab.tracking.mlflow.store import Store

GPU = ("gpu_utilization", "gpu_memory_mib", "gpu_energy_wh")
NUMBERS = ("objective", "best_epoch", "epochs", "seconds", "weights", *GPU)
"""What `Content.trial_finished` writes beside the curve."""


@dataclass
class _Told:
    """What steps say of one run."""

    status: str = ""
    params: dict[str, str] = field(default_factory=dict)
    points: dict[str, dict[int, float]] = field(default_factory=dict)

    def hear(self, step: Step) -> None:
        if step.kind == "params":
            self.params |= step.body["values"]
        elif step.kind == "metrics":
            for key, value in step.body["values"].items():
                self.points.setdefault(key, {}).setdefault(step.body["step"], value)
        elif step.kind == "end":
            self.status = step.body["status"]


@dataclass(frozen=True)
class Comparison:
    """The audit, and which runs it found fault with."""

    audit: Audit
    wrong: frozenset[str]
    """Uids; a run that is missing among them."""


def compare(start: StudyStart, records: Iterable[TrialRecord], runs: Sequence[StoredRun], outbox: Outbox) -> Comparison:
    """Look for every difference."""
    records = list(records)
    by_uid: dict[str, list[StoredRun]] = {}
    for run in runs:
        by_uid.setdefault(run.uid, []).append(run)
    faults: dict[str, list[str]] = {}
    ended = [record for record in records if record.state in ENDED]
    ours, theirs = [], []
    for record in ended:
        uid, told = _told(start, record)
        row = _row(record.trial.number, record.trial.attempt, told.status, told.params, told.points, start)
        ours.append(row)
        found = by_uid.get(uid, [])
        theirs += [_row_of(run, start) for run in found]
        faults[uid] = list(_differences(row, found, start))
    for uid, found in by_uid.items():
        faults.setdefault(uid, []).extend(_strange(uid, found, start, records))
    delivered = 0
    held = _Journals(run_uid(start.uid))
    for step in outbox.steps(delivered=True):
        if step is not None:
            delivered += step.kind != "session"
            held.hear(step)
    for uid, told in held.runs.items():
        if not faults.get(uid) or uid in by_uid:
            faults.setdefault(uid, []).extend(_missing(told, by_uid.get(uid, []), held.names.get(uid, "the study")))
    faults.setdefault(held.study, []).extend(held.own_faults(by_uid.get(held.study, [])))
    audit = Audit(
        trials=len(ended),
        runs=sum(run.tags.get("searchlab.kind") == "trial" for run in runs),
        records=delivered,
        waiting=outbox.waiting(),
        refused=sum(file.read_bytes().count(b"\n") for file in outbox.refused()),
        storage_digest=_digest(ours),
        tracked_digest=_digest(theirs),
        faults=tuple(fault for some in faults.values() for fault in some),
    )
    return Comparison(audit, frozenset(uid for uid, some in faults.items() if some))


def rebuild(connect: Callable[[], Store], start: StudyStart, result: StudyResult, outbox: Outbox) -> Delivery:
    """Delete the runs that differ and write them, and those that are missing, again."""
    store = connect()
    wrong = set(compare(start, result.trials, store.runs(start.uid), outbox).wrong)
    parent = run_uid(start.uid)
    if parent in wrong or store.run_id(parent) is None:  # a trial's run names the run above it
        wrong = {run.uid for run in store.runs(start.uid)} | wrong | {parent}
    for uid in wrong:
        store.delete(uid)
    store = connect()
    delivered = refused = 0
    reason = ""
    for batch in _batches(_again(start, result, outbox, wrong)):
        lost = store.write(batch)
        delivered += len(batch) - len(lost)
        refused += len(lost)
        reason = lost[-1][1] if lost else reason
    for file in outbox.refused():
        file.unlink()
    return Delivery(delivered, refused=refused, kept_in=str(outbox.folder) if refused else None, reason=reason)


class _Journals:
    """What the journals say of each run."""

    def __init__(self, study: str) -> None:
        self.study = study
        self.runs: dict[str, _Told] = {}
        self.names: dict[str, str] = {}
        self._last: Step | None = None
        """How the study's own run was begun again or ended last."""

    def own_faults(self, found: Sequence[StoredRun]) -> Iterator[str]:
        """What is wrong with the end of the study's own run."""
        last = self._last
        if last is not None and last.kind == "end" and found and found[0].status != last.body["status"]:
            yield f"the study's own run is {found[0].status}, and was ended as {last.body['status']}"

    def hear(self, step: Step) -> None:
        if step.run == self.study and step.kind in ("resume", "end") and not step.body.get("only_running"):
            self._last = step if self._last is None or step.at >= self._last.at else self._last
        if step.kind == "begin" and step.body["parent"] is not None:
            tags = step.body["tags"]
            self.names[step.run] = _name(tags["searchlab.trial"], tags["searchlab.attempt"])
        if step.kind in ("metrics", "params"):
            self.runs.setdefault(step.run, _Told()).hear(step)


def _again(start: StudyStart, result: StudyResult, outbox: Outbox, wanted: set[str]) -> Iterator[Step]:
    """The steps of the `wanted` runs, as the journals have them, then what no journal here has."""
    content, parent = Content(start), run_uid(start.uid)
    known = [step for step in outbox.steps() if step is not None and step.run in wanted and step.kind != "session"]
    own = [step for step in known if step.run == parent and not step.body.get("awaits")]
    if parent in wanted:  # first: a trial's run names the run above it
        if not any(step.kind == "begin" for step in own):
            yield from content.study_started()
        yield from (step for step in own if step.kind not in ("resume", "end"))
    yield from (step for step in known if step.run != parent)
    for record in result.trials:
        if record.state in ENDED and run_uid(start.uid, record.trial.number, record.trial.attempt) in wanted:
            yield from (step for step in content.trial_finished(record) if step.run != parent)
    if parent in wanted:
        last = next((step for step in reversed(own) if step.kind in ("resume", "end")), None)
        if (last is None or last.kind == "resume") and all(record.state in ENDED for record in result.trials):
            yield from content.study_finished(result, {})
        else:  # without a look at who led it
            over = last if last is not None and last.kind == "end" else next(iter(content.leader_lost("")))
            yield Step("end", parent, over.at, {key: value for key, value in over.body.items() if key != "only_of"})


def _batches(steps: Iterable[Step]) -> Iterator[list[Step]]:
    batch: list[Step] = []
    for step in steps:
        batch.append(step)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _told(start: StudyStart, record: TrialRecord) -> tuple[str, _Told]:
    """What a trial's run shall have, by the storage."""
    uid = run_uid(start.uid, record.trial.number, record.trial.attempt)
    told = _Told()
    for step in Content(start).trial_finished(record):
        if step.run == uid:
            told.hear(step)
    return uid, told


Row = tuple[int, int, str, Mapping[str, str], list[tuple[int, float]], Mapping[str, list[tuple[int, float]]]]


def _row(
    number: int,
    attempt: int,
    status: str,
    params: Mapping[str, str],
    points: Mapping[str, Mapping[int, float]],
    start: StudyStart,
) -> Row:
    curve = sorted(points.get(words.safe_key(start.objective.metric), {}).items())
    numbers = {key: sorted(points[key].items()) for key in NUMBERS if key in points}
    return number, attempt, status, dict(sorted(params.items())), curve, numbers


def _row_of(run: StoredRun, start: StudyStart) -> Row:
    metric = words.safe_key(start.objective.metric)
    numbers = {key: list(run.metrics[key]) for key in NUMBERS if key in run.metrics}
    number, attempt = int(run.tags.get("searchlab.trial", -1)), int(run.tags.get("searchlab.attempt", -1))
    return number, attempt, run.status, dict(sorted(run.params.items())), list(run.metrics.get(metric, ())), numbers


def _differences(row: Row, found: Sequence[StoredRun], start: StudyStart) -> Iterator[str]:
    """How MLflow's runs of a trial differ from what the storage has."""
    name = _name(row[0], row[1])
    if len(found) != 1:
        yield f"{name} has {len(found) or 'no'} {'runs' if found else 'run'}"
        return
    other = _row_of(found[0], start)
    if row[2] != other[2]:
        yield f"{name} is {row[2]} in the storage, its run is {other[2]}"
    for what, mine, theirs in (("parameters", row[3], other[3]), ("final numbers", row[5], other[5])):
        if mine != theirs:
            names = sorted(key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key))
            yield f"{name}: other {what}: {', '.join(names)}"
    if row[4] != other[4]:
        yield f"{name}: {start.objective.metric} is {_short(row[4])} in the storage, {_short(other[4])} in MLflow"


def _strange(uid: str, found: Sequence[StoredRun], start: StudyStart, records: Sequence[TrialRecord]) -> Iterator[str]:
    """What is wrong with runs by themselves."""
    if uid == run_uid(start.uid):
        if len(found) > 1:
            yield f"the study has {len(found)} runs of its own"
        return
    known = {record.trial.number: record for record in records}
    for run in found:
        number, attempt = int(run.tags.get("searchlab.trial", -1)), int(run.tags.get("searchlab.attempt", -1))
        record = known.get(number)
        if record is None or attempt > record.trial.attempt:
            yield f"there is a run of {_name(number, attempt)}, which the storage does not have"
        elif run.status == "RUNNING" and (attempt < record.trial.attempt or record.state != "running"):
            yield f"the run of {_name(number, attempt)} is RUNNING, and nobody trains it"


def _missing(told: _Told, found: Sequence[StoredRun], name: str) -> Iterator[str]:
    """What journals have and MLflow has not."""
    if not found:
        yield f"{name} has no run, and the outbox has records of it"
        return
    for key, points in told.points.items():
        stored = dict(found[0].metrics.get(key, ()))
        lost = [step for step, value in points.items() if stored.get(step) != value]
        if lost:
            yield f"{name}: {key} lacks or differs at {_short(lost)}"
        if len(stored) < len(found[0].metrics.get(key, ())):
            yield f"{name}: {key} has points twice"


def _name(number: Any, attempt: Any) -> str:
    return f"trial {number}" + (f" (attempt {attempt})" if str(attempt) != "1" else "")


def _short(values: Sequence[Any], most: int = 6) -> str:
    shown = ", ".join(str(value) for value in values[:most])
    return f"[{shown}{', …' if len(values) > most else ''}]"


def _digest(rows: Iterable[Row]) -> str:
    text = json.dumps(sorted(rows, key=lambda row: row[:2]), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""What must hold of every study, whatever befell it (faults.md, section 5).  Not a test file."""

from __future__ import annotations

import json
import time
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator

import noop_trials
import psutil
from fault_lab import EPOCHS, NAME, Command, Lab

from searchlab import seeds
from searchlab.records import TrialRecord
from searchlab.tracking import TRACKERS, StoredRun
from searchlab.training import checkpoints

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
EXPECTED = (0, 4, 7, 75, -9)
"""Exit statuses that commands may have here: done, no service, no success, interrupted, killed by a test."""


def check_study(
    lab: Lab,
    budget: int,
    *,
    failed: Collection[int] = (),
    statuses: Collection[int] = EXPECTED,
    led: bool = True,
    uri: str | None = None,
) -> None:
    """Assert that the study is whole: (i) to (ix) of the catalogue.

    `failed` are the trials that cannot succeed; `led`: a leader has come to the end; `uri`: the tracking store.
    """
    faults = list(_faults(lab, budget, frozenset(failed), led))
    if lab.is_tracked:
        synced = lab.start("sync", NAME, *lab.storage)
        faults += [f"sync ended with {synced.process.returncode}"] if synced.wait(90) else []
        audited = lab.start("audit", NAME, *lab.storage)
        faults += [f"audit says\n{audited.said}{audited.errors}"] if audited.wait(90) else []
        faults += _tracking_faults(lab, uri)
    faults += _command_faults(lab, statuses)
    assert not faults, "\n".join([*faults, lab.tails()])


def _faults(lab: Lab, budget: int, failed: frozenset[int], led: bool) -> Iterator[str]:
    study = lab.study()
    if study is None:
        yield "there is no study"
        return
    records = study.records()
    numbers = [record.trial.number for record in records]
    if numbers != list(range(budget)):
        yield f"{budget} trials were asked for, and there are {numbers}"
    for record in records:
        wrong = _wrong_with(record, study.seed, lab.epochs, record.trial.number in failed)
        yield from (f"trial {record.trial.number}: {words}" for words in wrong)
    yield from (f"a lease was left: {held}" for held in lab.leases().items())
    yield from _file_faults(lab, records, led)
    _, alive = psutil.wait_procs(lab.processes(), timeout=5)
    yield from (f"a process was left: {process.pid} {process.cmdline()}" for process in alive if process.is_running())


def _wrong_with(record: TrialRecord, seed: int, epochs: int, fails: bool) -> Iterator[str]:
    trial = record.trial
    if trial.seed != seeds.derive(seed, "trial", trial.number):
        yield f"its seed {trial.seed} is not its own"
    if record.state != ("failed" if fails else "complete"):
        yield f"it is {record.state}: {record.result.reason if record.result else None}"
        return
    truth = {epoch: noop_trials.value(trial.seed, epoch) for epoch in range(1, epochs + 1)}
    if any(truth.get(epoch) != value for epoch, value in record.curve.items()):
        yield f"its curve {record.curve} is not {truth}"
    if not fails and record.value != truth[epochs]:
        yield f"its value {record.value} is not {truth[epochs]}"
    if not fails and record.curve.keys() != truth.keys():
        yield f"its curve has the epochs {list(record.curve)}"


def _file_faults(lab: Lab, records: tuple[TrialRecord, ...], led: bool) -> Iterator[str]:
    """Every visible file is whole, and the best trial's weights and model are there."""
    folder = lab.home / "studies" / NAME
    for path in folder.glob("weights/[!.]*"):
        if not zipfile.is_zipfile(path):
            yield f"{path.name} is no file of weights"
    for path in folder.glob("checkpoints/[!.]*"):
        try:
            checkpoints._unpacked(path.read_bytes())
        except ValueError as error:
            yield f"{path.name}: {error}"
    for path in folder.glob("*.json"):
        json.loads(path.read_text())
    complete = [record for record in records if record.state == "complete"]
    if not complete:
        return
    best = max(complete, key=lambda record: record.value or 0.0)
    if led and (folder / "champion.keras").read_text() != f"the model of trial {best.trial.number}":
        yield f"the model is not that of trial {best.trial.number}"
    if led and "</html>" not in (folder / "report.html").read_text():
        yield "the report is not whole"


def _command_faults(lab: Lab, statuses: Collection[int]) -> Iterator[str]:
    for command in lab.commands:
        status = command.process.poll()
        if status not in statuses:
            yield f"{command.name} ended with {status}"
        if "Traceback" in _own_words(command):
            yield f"{command.name} has a traceback"


def _own_words(command: Command) -> str:
    """What a command said itself, without the ends of children's logs that it may show."""
    return command.errors.partition("training processes died one after another")[0]


def _tracking_faults(lab: Lab, uri: str | None) -> Iterator[str]:
    """One run for each attempt, with its end, and for the last one each point of its curve once."""
    study = lab.study()
    assert study is not None
    uid = str(study.facts["uid"])
    runs = TRACKERS.get("mlflow").runs(uri, experiment=NAME, home=lab.home, study_uid=uid)
    own = [run for run in runs if run.tags.get("searchlab.kind") == "study"]
    if [run.status for run in own] != ["FINISHED"]:
        yield f"the study's own runs are {[run.status for run in own]}"
    found: dict[tuple[int, int], StoredRun] = {}
    for run in runs:
        if run not in own:
            key = int(run.tags["searchlab.trial"]), int(run.tags["searchlab.attempt"])
            if key in found:
                yield f"trial {key[0]} has two runs of attempt {key[1]}"
            found[key] = run
    for record in study.records():
        number, last = record.trial.number, record.trial.attempt
        run = found.get((number, last))
        if run is None:
            yield f"trial {number} has no run of attempt {last}"
            continue
        if run.status != STATUS[record.state]:
            yield f"trial {number} is {record.state} and its run {run.status}"
        points = list(run.metrics.get("val_accuracy", ()))
        if record.state == "complete" and points != sorted(record.curve.items()):
            yield f"trial {number}: MLflow has the points {points}, the storage {record.curve}"
        repeated = [step for step, count in Counter(step for step, _ in points).items() if count > 1]
        if repeated:
            yield f"trial {number}: MLflow has the steps {repeated} twice"
    last_of = {record.trial.number: record.trial.attempt for record in study.records()}
    for (number, attempt), run in found.items():
        if attempt > last_of[number]:
            yield f"trial {number} has a run of attempt {attempt}, and had {last_of[number]}"
        elif attempt < last_of[number] and run.status not in ("FAILED", "KILLED"):
            yield f"attempt {attempt} of trial {number} is {run.status}"


def check_attempts(lab: Lab, *, repeated: int = 1) -> None:
    """Assert that no attempt has trained more than `repeated` epochs that an earlier one had ended."""
    seen: dict[int, dict[int, int]] = {}
    again: Counter[tuple[int, int]] = Counter()
    for trial, attempt, epoch in lab.trained():
        first = seen.setdefault(trial, {}).setdefault(epoch, attempt)
        if first != attempt:
            again[trial, attempt] += 1
    over = {key: count for key, count in again.items() if count > repeated}
    assert not over, f"epochs that were trained again, by (trial, attempt): {over}"


def wait_for_silence(lab: Lab, seconds: float = 5.0) -> None:
    """Until no process of the lab is left."""
    deadline = time.monotonic() + seconds
    while lab.processes():
        assert time.monotonic() < deadline, [process.cmdline() for process in lab.processes()]
        time.sleep(0.05)


__all__ = ["EPOCHS", "check_attempts", "check_study", "wait_for_silence"]

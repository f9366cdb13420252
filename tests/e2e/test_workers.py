"""Several supervisors on one study: a worker joins, is killed in the middle of a trial, and the budget is exact."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from searchlab.records import TrialRecord
from searchlab.search.study import Study
from searchlab.tracking import TRACKERS

THOROUGH = pytest.mark.skipif(os.environ.get("SEARCHLAB_FAULTS") != "all", reason="make faults runs it")

STUDY = """
study: shared
data: {source: wine, split: {by: stratified, seed: 0}}
task: tabular_classification
space:
  model: {mlp: {depth: 1, width: 16}}
  optimizer: {adam: {learning_rate: {low: 1e-4, high: 1e-1, log: true}}}
search: {sampler: random, pruner: none, trials: 7}
training: {epochs: 36, engine: fit}
execution: {workers: 1}
seed: 5
"""
BUDGET = 7

SETTINGS = {"SEARCHLAB_LEASE_SECONDS": "12", "TF_CPP_MIN_LOG_LEVEL": "3"}
"""Short leases: who is gone is noticed after a third of one."""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts commands of ours in one home, and ends what is left of them."""
    begun: list[subprocess.Popen[str]] = []

    def starting(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "searchlab", *arguments],
            cwd=tmp_path,
            env={**os.environ, **SETTINGS, "SEARCHLAB_HOME": str(tmp_path / "home")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        return process

    yield starting
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.communicate()


def records(folder: Path) -> tuple[TrialRecord, ...]:
    url = f"sqlite:///{folder / 'home' / 'optuna.db'}"
    return Study.open(url, "shared").records() if "shared" in Study.names(url) else ()


def wait_until(folder: Path, holds: Callable[[tuple[TrialRecord, ...]], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds(records(folder)):
        assert time.monotonic() < deadline, records(folder)
        time.sleep(0.1)


def running(found: tuple[TrialRecord, ...]) -> int:
    return sum(record.state == "running" for record in found)


@pytest.mark.slow
@pytest.mark.parametrize("end", [pytest.param(end, marks=THOROUGH) for end in ("killed", "interrupted", "none")])
def test_a_worker_helps_and_may_go(tmp_path: Path, start: Start, end: str) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    leader = start("run", "s.yaml")
    wait_until(tmp_path, lambda found: running(found) == 1)
    worker = start("worker", "shared")
    wait_until(tmp_path, lambda found: running(found) == 2)
    if end != "none":
        worker.send_signal(signal.SIGKILL if end == "killed" else signal.SIGINT)
    said, errors = worker.communicate(timeout=200)
    assert "Traceback" not in errors
    if end == "none":
        assert worker.returncode == 0 and "were trained here; 0 of 'shared' are left" in said
    if end == "interrupted":
        assert worker.returncode == 75 and "searchlab worker shared" in errors
    said, errors = leader.communicate(timeout=200)
    assert leader.returncode == 0, errors
    assert f"{BUDGET} of {BUDGET} trials: {BUDGET} complete" in said
    found = records(tmp_path)
    assert [record.trial.number for record in found] == list(range(BUDGET))
    assert max(record.trial.attempt for record in found) == (1 if end == "none" else 2)
    facts = Study.open(f"sqlite:///{tmp_path / 'home' / 'optuna.db'}", "shared").facts
    runs = TRACKERS.get("mlflow").runs(None, experiment="shared", home=tmp_path / "home", study_uid=str(facts["uid"]))
    assert {run.status for run in runs} <= {"FINISHED", "FAILED", "KILLED"}
    assert sum(run.status == "FINISHED" for run in runs) == BUDGET + 1  # the study's own


def test_a_study_that_is_not_stored_cannot_be_joined(start: Start) -> None:
    worker = start("worker", "shared")
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 2 and "shared" in errors and "Traceback" not in errors

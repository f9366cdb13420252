"""Ctrl-C, a kill and a resume: nothing finished is lost, and the trials are those of a study that was never stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from searchlab.records import best_of
from searchlab.search.study import Study

THOROUGH = pytest.mark.skipif(os.environ.get("SEARCHLAB_FAULTS") != "all", reason="make faults runs it")

STUDY = """
study: stopped
data: {source: wine, split: {by: stratified, seed: 0}}
task: tabular_classification
space:
  model: {mlp: {depth: 1, width: {low: 4, high: 64}}}
  optimizer: {adam: {learning_rate: {low: 1e-4, high: 1e-1, log: true}}}
search: {sampler: random, pruner: none, trials: 4}
training: {epochs: 30}
execution: {workers: 1}
tracking: {enabled: false}
seed: 5
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "SEARCHLAB_HOME": str(folder / "home"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        [sys.executable, "-m", "searchlab", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_trials(folder: Path, finished: int, process: subprocess.Popen[str]) -> None:
    """Until so many trials are finished and another one is under way."""
    url = f"sqlite:///{folder / 'home' / 'optuna.db'}"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if "stopped" in Study.names(url):
            states = [record.state for record in Study.open(url, "stopped").records()]
            if states.count("complete") >= finished and states.count("running"):
                return
        time.sleep(0.1)
    raise AssertionError("no trial was finished in two minutes")


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=THOROUGH), signal.SIGKILL],
    ids=lambda n: n.name,
)
def test_stops_and_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    process = start(tmp_path, "run", "s.yaml")
    children: list[psutil.Process] = []
    try:
        wait_for_trials(tmp_path, 1, process)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive, "children must not outlive their supervisor"
    if number is not signal.SIGKILL:
        assert process.returncode == 75, errors
        assert "searchlab resume stopped" in errors
        assert "Traceback" not in errors
    done = start(tmp_path, "resume", "stopped")
    output, errors = done.communicate(timeout=200)
    assert done.returncode == 0, errors
    assert "4 of 4 trials: 4 complete" in output
    study = Study.open(f"sqlite:///{tmp_path / 'home' / 'optuna.db'}", "stopped")
    records, objective = study.records(), study.objective
    assert [record.trial.number for record in records] == [0, 1, 2, 3]
    told = [line for line in output.splitlines() if line.startswith("✓")]
    marked = {int(line.split()[1]) for line in told if "← best" in line}
    numbers = {int(line.split()[1]) for line in told}
    assert marked == {number for number in numbers if best_of(records[: number + 1], objective) is records[number]}

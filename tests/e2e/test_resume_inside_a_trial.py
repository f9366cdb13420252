"""A1, A13, D6: a trial that was cut off in the middle goes on from its last epoch, and ends as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from searchlab.records import TrialRecord
from searchlab.search.study import Study

THOROUGH = pytest.mark.skipif(os.environ.get("SEARCHLAB_FAULTS") != "all", reason="make faults runs it")

STUDY = """
study: cut
data: {source: digits, split: {by: stratified, seed: 0}}
task: image_classification
space:
  model: {cnn: {depth: 2, width: 16, dropout: 0.2, batch_norm: true}}
  optimizer: {adam: {learning_rate: {low: 1e-3, high: 1e-2, log: true}}}
search: {sampler: random, pruner: {median: {startup_trials: 50}}, trials: 1}
training: {epochs: 60, engine: ENGINE}
execution: {workers: 1, checkpoint_seconds: 0}
tracking: {enabled: false}
seed: 5
"""
CUT_AFTER = 5
"""Epochs that each run before the last trains at least; each is stored at once, since there is a pruner."""


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "searchlab", *arguments],
        cwd=home.parent,
        env={**os.environ, "SEARCHLAB_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def records(home: Path) -> tuple[TrialRecord, ...]:
    url = f"sqlite:///{home / 'optuna.db'}"
    return Study.open(url, "cut").records() if "cut" in Study.names(url) else ()


def curves(home: Path) -> list[dict[int, float]]:
    return [dict(record.curve) for record in records(home)]


@pytest.mark.slow
@THOROUGH
@pytest.mark.parametrize("engine", ["fit", "fused"])
def test_a_trial_goes_on_from_its_last_epoch(tmp_path: Path, engine: str) -> None:
    (tmp_path / "s.yaml").write_text(STUDY.replace("ENGINE", engine))
    home = tmp_path / "home"
    reported = []
    for number in (signal.SIGKILL, signal.SIGTERM):
        run = start(home, "run", "s.yaml")
        deadline = time.monotonic() + 120
        while not any(len(curve) >= sum(reported[-1:]) + CUT_AFTER for curve in curves(home)):
            assert run.poll() is None and time.monotonic() < deadline, run.communicate()
            time.sleep(0.02)
        run.send_signal(number)
        begun = time.monotonic()
        _, errors = run.communicate(timeout=60)
        assert time.monotonic() - begun < 20.0
        assert "Traceback" not in errors
        assert run.returncode == (75 if number == signal.SIGTERM else -9), errors
        reported.append(len(curves(home)[0]))
    resumed = start(home, "resume", "cut")
    _, errors = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, errors
    (first,) = records(home)
    assert first.trial.attempt == 3 and first.result is not None and first.result.resumed_from is not None
    assert first.result.resumed_from >= reported[1] - 1  # at most one epoch was trained again
    whole = tmp_path / "whole"
    assert start(whole, "run", "s.yaml").wait(timeout=200) == 0
    for told, wanted in zip(records(home), records(whole), strict=True):
        assert told.curve == wanted.curve and told.value == wanted.value
        assert told.result is not None and wanted.result is not None
        assert told.result.metrics == wanted.result.metrics and told.result.best_epoch == wanted.result.best_epoch
    assert not list((home / "studies" / "cut" / "checkpoints").iterdir())

"""The digits study on two nodes of a Ray cluster, one of which is killed in the middle: `make ray` runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from ray_cluster import ROOT, RayCluster, needs_ray

from searchlab.records import TrialRecord
from searchlab.search.study import Study

pytestmark = [
    needs_ray,
    pytest.mark.skipif(os.environ.get("SEARCHLAB_RAY") != "all", reason="takes minutes; make ray runs it"),
]

BUDGET = 8
EPOCHS = 60
CHANGES = {
    "search.trials": BUDGET,
    "search.pruner": "none",
    "training.epochs": EPOCHS,
    "training.early_stopping": "null",
    "execution.executor": "ray",
    "execution.address": "auto",
    "execution.checkpoint_seconds": 0,
    "tracking.enabled": "false",
}


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    """Two nodes of two cores."""
    made = RayCluster()
    try:
        made.add()
        yield made
    finally:
        made.close()


def records(home: Path) -> tuple[TrialRecord, ...]:
    """The trials so far."""
    url = f"sqlite:///{home / 'optuna.db'}"
    if not (home / "optuna.db").exists() or "digits-cnn" not in Study.names(url):
        return ()
    return Study.open(url, "digits-cnn").records()


def test_the_digits_study_survives_the_loss_of_a_node(cluster: RayCluster, tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = [word for name, value in CHANGES.items() for word in ("--set", f"{name}={value}")]
    begun = time.monotonic()
    run = subprocess.Popen(
        [sys.executable, "-m", "searchlab", "run", str(ROOT / "studies" / "digits_cnn.yaml"), "--plain", *settings],
        env={**os.environ, **cluster.environment, "SEARCHLAB_HOME": str(home)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        while sum(record.state == "running" and len(record.curve) > 1 for record in records(home)) < 4:
            assert run.poll() is None and time.monotonic() < begun + 120, run.communicate()[0]
            time.sleep(0.2)
        print(f"four children train after {time.monotonic() - begun:.1f} s")
        cluster.nodes[1].kill()
        lost = time.monotonic()
        while not any(record.trial.attempt > 1 for record in records(home)):
            assert run.poll() is None and time.monotonic() < lost + 60, run.communicate()[0]
            time.sleep(0.2)
        print(f"the trials of the lost node wait again after {time.monotonic() - lost:.1f} s")
        said = run.communicate(timeout=400)[0]
    finally:
        if run.poll() is None:
            run.send_signal(signal.SIGTERM)
            run.communicate(timeout=60)
    print(f"the study is done after {time.monotonic() - begun:.1f} s")
    assert run.returncode == 0, said
    found = records(home)
    assert [record.trial.number for record in found] == list(range(BUDGET))
    assert {record.state for record in found} == {"complete"}
    assert all(len(record.curve) == EPOCHS for record in found)
    attempts = [record.trial.attempt for record in found]
    assert sum(attempts) == BUDGET + 2, attempts
    assert (home / "studies" / "digits-cnn" / "champion.keras").exists()

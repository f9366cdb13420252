"""What only a GPU can show; skipped without one.  `make test-gpu` prints trials a minute and how busy the GPU was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from searchlab import devices
from searchlab.records import GpuUse, StudyResult
from searchlab.reports.gpu import gpu_lines
from searchlab.runner.home import Home
from searchlab.runner.stored import read_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not devices.gpus(), reason="no GPU can be seen"),
]

TRIALS = 6
NEAR = 0.03
"""How far a loss may be from the processor's after the first epoch: GPUs multiply in other orders, and in TF32."""


@dataclass(frozen=True)
class Run:
    """A study that was run, and how fast."""

    result: StudyResult
    seconds: float

    def losses(self, epoch: int = 1) -> list[float]:
        """Of each trial after `epoch`."""
        return [record.curve[epoch] for record in sorted(self.result.trials, key=lambda record: record.trial.number)]

    def uses(self) -> list[GpuUse]:
        """Of the trials that were measured."""
        return [one.result.gpu for one in self.result.trials if one.result is not None and one.result.gpu is not None]


def run(study: str, home: Path, *, backend: str, gpus: int, **changes: object) -> Run:
    """Run a shipped study for two epochs a trial, its trials drawn at random and none of them pruned."""
    settings = {
        "training.backend": backend,
        "training.epochs": 2,
        "execution.gpus": gpus,
        "search.sampler": "random",
        "search.pruner": "none",
        "search.objective": "val_loss",
        "search.direction": "minimize",
        "tracking.enabled": "false",
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    overrides = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "searchlab", "run", study, "--plain", "--trials", str(TRIALS), *overrides],
        env={**os.environ, "SEARCHLAB_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    seconds = time.monotonic() - begun
    assert done.returncode == 0, done.stdout + done.stderr
    found = Run(read_study(study.replace("_", "-"), Home(home), None), seconds)
    where = f"{gpus} GPU" if gpus else "the processor"
    words = f"{study} on {backend}, {where}: {60 * TRIALS / seconds:.1f} trials a minute"
    print("\n" + "; ".join((words, *gpu_lines(found.result.trials))))
    return found


@cache
def sees_gpu(backend: str) -> bool:
    """Whether Keras has a GPU on this backend: the lock has builds for processors only."""
    done = subprocess.run(
        [sys.executable, "-m", "searchlab.runner.seen"],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode == 0 and not all(name.startswith("cpu") for name in json.loads(done.stdout))


def need(backend: str) -> None:
    if not sees_gpu(backend):
        pytest.skip(f"{backend} sees no GPU: pip install 'searchlab[gpu]', and searchlab doctor")


@pytest.mark.parametrize("study", ["digits_cnn", "digits_lstm"])
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_a_gpu_gives_the_numbers_of_the_processor(study: str, backend: str, tmp_path: Path) -> None:
    need(backend)
    there, here = (run(study, tmp_path / str(gpus), backend=backend, gpus=gpus) for gpus in (1, 0))
    assert there.losses() == pytest.approx(here.losses(), rel=NEAR)


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_the_same_seed_gives_the_same_numbers_on_a_gpu(backend: str, tmp_path: Path) -> None:
    need(backend)
    first, second = (run("digits_cnn", tmp_path / name, backend=backend, gpus=1) for name in ("a", "b"))
    assert first.losses() == second.losses()


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_trials_that_share_a_gpu_all_end_and_give_the_numbers_of_one_alone(backend: str, tmp_path: Path) -> None:
    need(backend)
    alone = run("digits_cnn", tmp_path / "a", backend=backend, gpus=1)
    packed = run("digits_cnn", tmp_path / "p", backend=backend, gpus=1, execution__trials_per_gpu=3)
    assert packed.losses() == pytest.approx(alone.losses(), rel=NEAR)
    assert all(record.state == "complete" and record.trial.attempt == 1 for record in packed.result.trials)


def test_every_trial_says_what_it_took_of_its_gpu(tmp_path: Path) -> None:
    need("jax")
    pytest.importorskip("pynvml")
    uses = run("digits_cnn", tmp_path, backend="jax", gpus=1).uses()
    assert len(uses) == TRIALS
    for use in uses:
        assert use.name != "unknown" and use.memory is not None and use.memory > 1 << 20
        assert use.utilization is not None and 0.0 <= use.utilization <= 1.0
        assert use.energy is None or use.energy > 0.0

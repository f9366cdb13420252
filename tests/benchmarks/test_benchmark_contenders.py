"""All contenders train the same networks on the same rows, and every script runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

from benchmarks import contenders, turns
from benchmarks.contenders import PRUNING, RANDOM, Order, command, missing, study_of, title, with_workers
from benchmarks.networks import network
from benchmarks.process import Finished, Watched, finished_trials, watch
from benchmarks.spaces import SPACES, for_searchlab, space_of
from benchmarks.tasks import TASKS
from searchlab.models import FAMILIES
from searchlab.runner.check import check
from searchlab.spec.load import load_study
from searchlab.tasks import Problem

VALUES: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.5, "dropout": 0.1, "l2": 1e-4}
SMALLEST = TASKS["digits_mlp"]
SCRIPTS = sorted(path.stem for path in Path(contenders.__file__).parent.glob("[!_]*.py"))

SLOW = {"optuna_mlflow", "optuna_tpe_median", "keras_tuner_hyperband"}
"""Scripts that differ from others in a line or two."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_rival_runs_one_trial_of_one_epoch(name: str, place: Path) -> None:
    if name in SLOW and os.environ.get("SEARCHLAB_RIVALS") != "all":
        pytest.skip("as keras_tuner_random and optuna_loop do; make bench runs it, and SEARCHLAB_RIVALS=all")
    if library := missing(name):
        pytest.skip(f"{library} is not installed")
    folder = place / name
    folder.mkdir()
    watched = watch(command(name, Order(SMALLEST, "full", trials=1, epochs=1, seed=1), folder), folder)
    assert watched.returncode == 0, watched.tail
    (trial,) = watched.trials
    assert trial.epochs == 1 and trial.value is not None and 0.0 <= trial.value <= 1.0
    assert 0.0 < trial.at < watched.seconds and watched.cpu_seconds > 0.0 and watched.peak_bytes > 0


def test_every_script_is_a_known_contender() -> None:
    assert set(SCRIPTS) == set(contenders.RIVALS)
    assert all(contenders.is_known(name) for name in (*RANDOM, *PRUNING, "searchlab:fused@1", "searchlab+jax"))
    assert not any(contenders.is_known(name) for name in ("searchlab:", "searchlab+theano", "kerastuner"))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_study_is_valid(task: Any, space: str, place: Path) -> None:
    folder = place / f"{task.name}-{space}"
    folder.mkdir()
    for prunes in (False, True):
        order = Order(task, space, 3, 2, 1, prunes)
        study = study_of(order, folder / "data.npz", backend="tensorflow", engine="fused", workers="1")
        (folder / "study.yaml").write_text(yaml.safe_dump(study))
        check(load_study(folder / "study.yaml"))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_rivals_networks_are_searchlabs(task: Any, batch_norm: bool) -> None:
    shape = (64,) if task.kind == "tokens" else (8, 8, 1) if "32" not in task.title else (32, 32, 1)
    problem = Problem("tokens" if task.kind == "tokens" else "image", shape, 5, 20 if task.kind == "tokens" else None)
    family = FAMILIES.get(task.family)
    (options,) = for_searchlab(space_of("value", task), task)["model"].values()
    norm = {"normalization": "batch" if batch_norm else "none"} if task.family == "rnn" else {"batch_norm": batch_norm}
    ours = family.build(problem, family.Options(**{**options, "dropout": 0.1, "l2": 1e-4, **norm}), 0)
    theirs = network(task, shape, 5, 20, {**VALUES, "batch_norm": batch_norm})
    assert [type(layer) for layer in ours.layers] == [type(layer) for layer in theirs.layers]
    for mine, their in zip(ours.layers, theirs.layers, strict=True):
        assert without_seeds(mine.get_config()) == without_seeds(their.get_config())
    assert [weight.shape for weight in ours.weights] == [weight.shape for weight in theirs.weights]


def without_seeds(config: Any) -> Any:
    """A layer's settings without its names and seeds."""
    if isinstance(config, dict):
        hidden = ("name", "seed", "dtype", "registered_name", "module")
        return {key: without_seeds(value) for key, value in config.items() if key not in hidden}
    return config


@pytest.mark.parametrize(
    "task", [TASKS["digits_mlp"], TASKS["char_lstm"], TASKS["digits_cnn_32"]], ids=lambda t: t.name
)
def test_arrays_are_the_same_each_time_and_of_one_kind(task: Any) -> None:
    first, second = task.arrays(), task.arrays()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    for part in ("train", "validation", "test"):
        assert len(first[f"x_{part}"]) == len(first[f"y_{part}"]) > 0
        assert set(first[f"y_{part}"].tolist()) <= set(first["y_train"].tolist())
    if task.kind == "tokens":  # a training part of the size that is promised, numbered without gaps
        tokens = set(first["x_train"].ravel().tolist()) - {0}
        assert first["x_train"].shape == (1024, 64) and tokens == set(range(1, len(tokens) + 1))


def test_lines_of_finished_trials_are_told_from_others() -> None:
    line = "✓   12   0.8067    2 ep  dropout=0.21 sgd  ← best"
    assert finished_trials(line, 3.0) == [Finished(3.0, 0.8067, 2)]
    assert finished_trials("✗    3        –    0 ep  sgd  NaN", 1.0) == [Finished(1.0, None, 0)]
    assert finished_trials("trial 0.9500 10", 2.0) == [Finished(2.0, 0.95, 10)]
    grouped = "… 3 more (10 to 12): 2 complete, 1 failed"
    assert finished_trials(grouped, 2.0) == [Finished(2.0, None, None)] * 3
    assert finished_trials("· starting 2 workers", 0.0) == []
    assert finished_trials("3 of 3 trials: 3 complete.", 0.0) == []


def test_a_process_ends_when_the_target_is_reached(tmp_path: Path) -> None:
    """And its descendants with it, those in a session of their own included."""
    code = (
        "import subprocess, sys, time\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "print(subprocess.Popen(sleep, start_new_session=True).pid)\n"
        "print('trial 0.5 1')\nprint('trial 0.9 1')\ntime.sleep(600)"
    )
    watched = watch([sys.executable, "-c", code], tmp_path, target=0.8)
    assert [trial.value for trial in watched.trials] == [0.5, 0.9]
    assert watched.seconds < 60
    child = int(watched.tail.splitlines()[0])
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_process_failed_that_neither_finished_nor_met_its_goal() -> None:
    good = [Finished(1.0, 0.9, 1), Finished(2.0, None, 0)]
    assert not turns._failed(Watched(trials=good), 2, None)
    assert turns._failed(Watched(trials=good), 3, None) and turns._failed(Watched(trials=good, returncode=1), 2, None)
    assert not turns._failed(Watched(trials=good, returncode=-15), 100, 0.9)
    assert turns._failed(Watched(trials=good, returncode=1), 100, 0.95)


def test_the_command_that_is_kept_names_no_place() -> None:
    words = ["/here/benchmarks/x.py", "--keep", "/here", "--trials", "4", "--results=/there", "--rounds", "1"]
    assert turns._command(words) == "python -m benchmarks.x --trials 4 --rounds 1"


def test_names_say_the_engine_and_the_workers() -> None:
    assert title("searchlab") == "searchlab"
    assert title("searchlab:fused@1") == "searchlab (engine fused, 1 worker)"
    assert title("searchlab+tensorflow") == "searchlab (TensorFlow alone)"
    assert with_workers(["searchlab:fit", "optuna_loop"], [1, 2]) == [
        "searchlab:fit@1",
        "searchlab:fit@2",
        "optuna_loop",
    ]

"""One real study through the command line, then everything a user does with it afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

STUDY = """
study: small
data: {source: digits, split: {by: stratified, validation: 0.2, test: 0.2, seed: 0}}
task: image_classification
space:
  model: {cnn: {depth: [1, 2], width: {choices: [8, 16], default: 8}, dropout: {low: 0.0, high: 0.5}}}
  optimizer: {adam: {learning_rate: {low: 1e-3, high: 1e-2, log: true, default: 5e-3}}}
  training: {batch_size: 128}
search: {sampler: random, pruner: none, trials: 3}
training: {epochs: 2}
execution: {workers: 1, threads: 1}
seed: 3
"""


def searchlab(folder: Path, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SEARCHLAB_HOME": str(folder / "home"), "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, "-m", "searchlab", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the study was run once."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "small.yaml").write_text(STUDY)
    done = searchlab(folder, "run", "small.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return lambda *arguments: searchlab(folder, *arguments)


def test_run_ends_with_the_best_trial_and_the_command_that_opens_the_seal(folder: Path) -> None:
    words = (folder / "stdout.txt").read_text()
    assert "3 of 3 trials: 3 complete" in words
    assert "Best val_accuracy" in words
    assert "searchlab final-test small" in words
    assert "/#/experiments/" in words


def test_a_good_run_says_nothing_on_stderr(folder: Path) -> None:
    assert (folder / "stderr.txt").read_text() == ""


def test_each_database_is_one_whole_file_afterwards(folder: Path) -> None:
    """The process leaves without taking its libraries apart, which once left the write-ahead logs behind."""
    assert not [path.name for path in (folder / "home").iterdir() if path.name.endswith(("-wal", "-shm"))]


def test_status_shows_the_study(run: Run) -> None:
    words = run("status").stdout
    assert "small" in words and "3/3" in words


def test_trials_are_shown_and_written(run: Run, folder: Path) -> None:
    import pandas

    assert "learning_rate=" in run("trials", "small").stdout
    assert run("trials", "small", "--csv", "t.csv", "--parquet", "t.parquet").returncode == 0
    for frame in (pandas.read_csv(folder / "t.csv"), pandas.read_parquet(folder / "t.parquet")):
        assert len(frame) == 3
        assert "optimizer.learning_rate" in frame.columns


def test_the_report_is_one_self_contained_file(run: Run, folder: Path) -> None:
    done = run("report", "small", "--output", "r.html")
    assert done.returncode == 0, done.stderr
    page = (folder / "r.html").read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?(https?:)?//", page)
    assert "val_accuracy" in page


def test_each_class_has_its_scores_in_the_folder_the_report_and_mlflow(folder: Path, run: Run) -> None:
    from mlflow import MlflowClient

    kept = folder / "home" / "studies" / "small"
    lines = (kept / "per_class.csv").read_text().splitlines()
    assert lines[0] == "class,examples,precision,recall,f1" and [line[0] for line in lines[1:]] == list("0123456789")
    assert sum(int(line.split(",")[1]) for line in lines[1:]) == 359
    assert run("report", "small", "--output", "r.html").returncode == 0
    assert "Class by class" in (folder / "r.html").read_text()
    client = MlflowClient(f"sqlite:///{folder / 'home' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`searchlab.kind` = 'study'")
    names = {file.path for file in client.list_artifacts(parent.info.run_id, "classes")}
    assert names == {f"classes/{name}" for name in ("per_class.csv", "confusion.csv", "confusion.png")}


def test_an_unknown_study_is_refused_with_the_nearest_name(run: Run) -> None:
    done = run("trials", "smal")
    assert done.returncode == 2
    assert "Did you mean 'small'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_running_it_again_finds_it_finished(run: Run) -> None:
    done = run("run", "small.yaml")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 trials" in done.stdout


def test_more_trials_go_on_where_it_stopped(run: Run) -> None:
    done = run("resume", "small", "--trials", "4")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 trials" in done.stdout


def test_another_space_under_the_same_name_is_refused_with_the_difference(run: Run) -> None:
    done = run("run", "small.yaml", "--set", "space.model.cnn.width=[8, 32]")
    assert done.returncode == 5
    assert "width" in done.stderr


def test_mlflow_holds_one_parent_and_one_child_for_each_trial(folder: Path, run: Run) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'home' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id])
    parents = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    children = [one for one in runs if one.data.tags.get("mlflow.parentRunId")]
    assert len(parents) == 1
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parents[0].info.run_id}
    assert len(children) >= 3
    for child in children:
        assert child.info.status == "FINISHED"
        assert child.data.params["model"] == "cnn"
        assert "optimizer.learning_rate" in child.data.params
        points = client.get_metric_history(child.info.run_id, "val_accuracy")
        assert sorted(point.step for point in points) == [1, 2]
        assert not [name for name in child.data.metrics if name.startswith("test")]


def test_the_best_model_is_served_by_mlflow_in_a_fresh_process(folder: Path) -> None:
    program = """
import sys, mlflow, numpy as np
from mlflow import MlflowClient
mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
experiment = client.get_experiment_by_name("small")
model = client.search_logged_models([experiment.experiment_id])[0]
served = mlflow.pyfunc.load_model(model.model_uri)
from sklearn.datasets import load_digits
x = load_digits().images[:20, :, :, None].astype("float32")
p = np.asarray(served.predict(x))
assert p.shape == (20, 10), p.shape
assert np.allclose(p.sum(axis=1), 1, atol=1e-4)
print("accuracy", (p.argmax(axis=1) == load_digits().target[:20]).mean())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{folder / 'home' / 'mlflow.db'}"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "accuracy" in done.stdout


def test_export_writes_a_keras_file(run: Run, folder: Path) -> None:
    done = run("export", "small", "--output", "best.keras")
    assert done.returncode == 0, done.stderr
    assert (folder / "best.keras").stat().st_size > 1000
    assert run("export", "small", "--format", "kerass").returncode == 2


class TestTheSeal:
    """In this order: sealed, opened once, refused, reopened with a reason."""

    def test_nothing_knows_a_test_score_before(self, folder: Path) -> None:
        home = folder / "home"
        assert not (home / "studies" / "small" / "ledger.jsonl").exists()
        for name in ("optuna.db", "mlflow.db"):
            assert b"test_accuracy" not in (home / name).read_bytes()

    def test_opens_once_and_reports_an_interval(self, run: Run, folder: Path) -> None:
        done = run("final-test", "small")
        assert done.returncode == 0, done.stderr
        assert "95 % interval" in done.stdout
        score = json.loads((folder / "home" / "studies" / "small" / "test.json").read_text())
        low, high = score["intervals"]["test_accuracy"]
        assert low < score["metrics"]["test_accuracy"] < high
        assert score["examples"] == 359 or score["examples"] == 360
        assert score["baseline"]["test_accuracy"] < 0.2

    def test_refuses_a_second_look(self, run: Run) -> None:
        done = run("final-test", "small")
        assert done.returncode == 6
        assert "opened before" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_reason_opens_it_again_and_is_remembered(self, run: Run, folder: Path) -> None:
        done = run("final-test", "small", "--reopen", "checking the checker")
        assert done.returncode == 0, done.stderr
        assert "opened 2 times" in done.stdout
        assert "checking the checker" in (folder / "home" / "studies" / "small" / "ledger.jsonl").read_text()

    def test_the_score_is_on_the_parent_run(self, folder: Path) -> None:
        # A client of this process reads old pages, and a new connection shares them: it finds the file malformed.
        copy = shutil.copy(folder / "home" / "mlflow.db", folder / "copy.db")
        with sqlite3.connect(copy) as database:
            scored = database.execute(
                "select r.run_uuid, r.status from runs r join latest_metrics m on m.run_uuid = r.run_uuid "
                "where m.key = 'test_accuracy'"
            ).fetchall()
            parents = [row[0] for row in database.execute("select value from tags where key = 'mlflow.parentRunId'")]
        assert len(scored) == 1
        assert scored[0] == (parents[0], "FINISHED")


PROMOTED = """
import sys, mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
served = mlflow.pyfunc.load_model("models:/small@champion")
from sklearn.datasets import load_digits
p = np.asarray(served.predict(load_digits().images[:20, :, :, None].astype("float32")))
assert p.shape == (20, 10), p.shape
print(mlflow.MlflowClient().get_model_version_by_alias("small", "champion").description)
"""


class TestPromote:
    """After the seal was opened."""

    def test_the_best_model_gets_a_name_under_which_it_is_loaded(self, run: Run, folder: Path) -> None:
        done = run("promote", "small")
        assert done.returncode == 0, done.stderr
        assert "small version 1 is registered: trial" in done.stdout
        assert "pointed to nothing before" in done.stdout
        assert 'mlflow.pyfunc.load_model("models:/small@champion")' in done.stdout
        assert "/#/models/small/versions/1" in done.stdout
        loaded = subprocess.run(
            [sys.executable, "-c", PROMOTED, f"sqlite:///{folder / 'home' / 'mlflow.db'}"],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        )
        assert loaded.returncode == 0, loaded.stderr[-3000:]
        assert "Test accuracy" in loaded.stdout and "sealed" not in loaded.stdout
        assert "10 classes: 0, 1, 2" in loaded.stdout

    def test_a_second_time_nothing_is_made(self, run: Run) -> None:
        done = run("promote", "small")
        assert done.returncode == 0, done.stderr
        assert "already; no other was made" in done.stdout and "as before" in done.stdout

    def test_another_name_and_alias_leave_the_first_alone(self, run: Run) -> None:
        done = run("promote", "small", "--name", "digits", "--alias", "staging")
        assert done.returncode == 0, done.stderr
        assert "digits version 1 is registered" in done.stdout

    @pytest.mark.parametrize("words", [("--alias", "latest"), ("--alias", "v2"), ("--name", "../x"), ("--name", "a/b")])
    def test_names_that_mean_something_else_are_refused(self, run: Run, words: tuple[str, str]) -> None:
        done = run("promote", "small", *words)
        assert done.returncode == 2
        assert "cannot be" in done.stderr and "Traceback" not in done.stderr

    def test_a_best_trial_without_a_model_is_told_what_to_do(self, run: Run, folder: Path) -> None:
        with sqlite3.connect(folder / "home" / "optuna.db") as database:
            ((key, text),) = database.execute(
                "select study_user_attribute_id, value_json from study_user_attributes where key = 'remembered'"
            ).fetchall()
            noted = json.loads(text)
            noted["champion"]["trial"] = 99
            change = "update study_user_attributes set value_json = ? where study_user_attribute_id = ?"
            database.execute(change, (json.dumps(noted), key))
        done = run("promote", "small")
        assert done.returncode == 5
        assert "made of trial 99" in done.stderr and "searchlab resume small" in done.stderr

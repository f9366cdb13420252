"""A team's whole way: users submit, an evaluator leads, workers share, one dies; nobody sees what is not theirs."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from searchlab.data.ledger import Ledger
from searchlab.search.queue import Queue
from searchlab.search.study import Study

sys.path.append(str(Path(__file__).parents[1]))

from team import Team

pytestmark = pytest.mark.slow
in_full = pytest.mark.skipif(os.environ.get("SEARCHLAB_TEAM") != "all", reason="make test-team runs it")

SHORT = ("--set", "training.epochs=3", "--set", "space.model.cnn.depth=1", "--set", "space.model.cnn.width=8")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    one = Team(tmp_path_factory.mktemp("team"))
    try:
        one.evaluator()
        one.user("ann")
        one.user("bob")
        yield one
    finally:
        one.close()


def until(said: object, seconds: float = 90.0) -> None:
    """Wait until `said()`."""
    end = time.monotonic() + seconds
    while not said():  # type: ignore[operator]
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)


def test_a_study_is_trained_by_the_teams_workers_though_one_is_killed(team: Team) -> None:
    doomed, other = team.worker(), team.worker()
    laptop = team.begin("ann", "run", "digits_cnn", "--trials", "12", *SHORT)
    queue = Queue(team.storage)

    def under_way() -> bool:
        told = {entry.study: entry.progress or {} for entry in queue.entries()}
        return sum(told.get("digits-cnn", {}).get("trials", {}).values()) >= 3

    until(under_way)
    os.killpg(doomed.pid, signal.SIGKILL)
    said = laptop.communicate(timeout=120)[0]
    assert laptop.returncode == 0, said + team.log("evaluator") + team.log("worker")
    assert "12 of 12 trials" in said and "Best val_accuracy" in said and "/#/experiments/" in said
    with closing(Study.open(team.storage, "digits-cnn")) as study:
        records = study.records()
    assert [record.trial.number for record in records] == list(range(12))
    assert {record.state for record in records} <= {"complete", "pruned"}
    assert other.poll() is None and queue.entry("digits-cnn").state == "done"
    queue.close()


@in_full
def test_a_team_opens_the_seal_for_the_owner_alone_and_once(team: Team) -> None:
    refused = team.searchlab("bob", "final-test", "digits-cnn")
    assert refused.returncode != 0 and "belongs to ann" in refused.stdout
    done = team.searchlab("ann", "final-test", "digits-cnn")
    assert done.returncode == 0 and "95 % interval" in done.stdout, done.stdout
    again = team.searchlab("ann", "final-test", "digits-cnn")
    assert again.returncode == 6 and "opened before" in again.stdout
    ledger = team.folder / "home" / "studies" / "digits-cnn" / "ledger.jsonl"
    (sealed,) = (team.folder / "home" / "sealed").iterdir()
    assert {entry.who for entry in Ledger(ledger, sealed / "openings.json").entries()} == {"ann"}


@in_full
def test_a_model_is_promoted_from_a_laptop(team: Team) -> None:
    done = team.searchlab("ann", "promote", "digits-cnn")
    assert done.returncode == 0 and "champion" in done.stdout, done.stdout


@in_full
def test_a_table_is_sent_once_and_deleted_from_the_server(team: Team) -> None:
    folder = team.folder / "bobs"
    folder.mkdir()
    rows = [f"{i % 7},{i % 5},{'yes' if i % 2 else 'no'}" for i in range(200)]
    (folder / "table.csv").write_text("a,b,label\n" + "\n".join(rows) + "\n")
    study = (
        "study: bobs-table\ndata: {source: csv, path: table.csv, target: label}\ntask: tabular_classification\n"
        "space: {model: {mlp: {depth: 1, width: 4}}, optimizer: {adam: {learning_rate: [0.01, 0.1]}}, "
        "training: {batch_size: 32}}\nsearch: {sampler: random, trials: 2}\ntraining: {epochs: 1}\n"
    )
    (folder / "study.yaml").write_text(study)
    done = team.searchlab("bob", "run", str(folder / "study.yaml"))
    assert done.returncode == 0 and "sending table.csv" in done.stdout, done.stdout + team.log("evaluator")
    again = team.searchlab("bob", "run", str(folder / "study.yaml"), "--trials", "3")
    assert again.returncode == 0 and "sending" not in again.stdout and "3 of 3 trials" in again.stdout, again.stdout
    assert not list((team.folder / "mlflow" / "artifacts").rglob("*.tar"))


@in_full
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("data.path=/nowhere/table.csv", "not the team's data"),
        ("data.path=../home/sealed/x.csv", "there is no"),
        ("study=digits-cnn", "belongs to ann"),
        ("data.target=nothing", "no column"),
    ],
)
def test_what_must_not_be_is_refused_with_its_reason(team: Team, change: str, words: str) -> None:
    study = team.folder / "bobs" / "study.yaml"
    done = team.searchlab("bob", "run", str(study), "--set", "study=refused", "--set", change)
    assert done.returncode != 0 and words in done.stdout, done.stdout


@in_full
def test_a_typo_is_told_before_anything_is_sent(team: Team) -> None:
    done = team.searchlab("bob", "run", "digits_cnn", "--set", "search.sampler=tqe")
    assert done.returncode == 2 and "tpe" in done.stdout and "submitted" not in done.stdout


@in_full
def test_inboxes_are_closed_to_others(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    from searchlab.tracking.mlflow.inbox import PREFIX

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bob")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", team.passwords["bob"])
    client = mlflow.MlflowClient(tracking_uri=team.server.uri)
    with pytest.raises(mlflow.MlflowException, match=r"403|PERMISSION_DENIED"):
        client.get_experiment_by_name(PREFIX + "ann")
    assert client.get_experiment_by_name(PREFIX + "bob") is not None


@in_full
def test_status_and_stop(team: Team) -> None:
    laptop = team.begin("bob", "run", "digits_cnn", "--trials", "500", *SHORT, "--set", "study=endless")
    queue = Queue(team.storage)
    until(lambda: any(entry.study == "endless" and entry.state == "open" for entry in queue.entries()))
    status = team.searchlab("ann", "stack", "status")
    assert status.returncode == 0 and "endless  bob  open" in status.stdout, status.stdout
    assert team.searchlab("ann", "stack", "stop", "endless").returncode != 0
    assert team.searchlab("bob", "stack", "stop", "endless").returncode == 0
    said = laptop.communicate(timeout=60)[0]
    assert queue.entry("endless").state == "stopped", said
    until(lambda: all(worker.study != "endless" for worker in queue.at_work()))
    queue.close()


@in_full
def test_a_study_goes_on_when_the_evaluator_and_the_tracking_server_are_killed(team: Team) -> None:
    laptop = team.begin("ann", "run", "digits_cnn", "--trials", "30", *SHORT, "--set", "study=orphan")
    queue = Queue(team.storage)

    def ended() -> int:
        told = {entry.study: entry.progress or {} for entry in queue.entries()}.get("orphan", {})
        return int(sum(count for state, count in told.get("trials", {}).items() if state != "running"))

    until(lambda: ended() >= 2)
    os.killpg(team.evaluators[-1].pid, signal.SIGKILL)
    team.server.kill()
    team.server.start()
    team.server.wait()
    team.evaluator()
    said = laptop.communicate(timeout=120)[0]
    assert laptop.returncode == 0 and "30 of 30 trials" in said, said + team.log("evaluator")
    with closing(Study.open(team.storage, "orphan")) as study:
        assert [record.trial.number for record in study.records()] == list(range(30))
    queue.close()

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from searchlab.errors import ServiceError, SpecError
from searchlab.records import TestScore
from searchlab.tracking import TRACKERS
from searchlab.tracking.mlflow import places
from searchlab.tracking.mlflow.steps import Step
from searchlab.tracking.mlflow.store import Store
from searchlab.tracking.mlflow.ui import ui_command

MLFLOW = TRACKERS.get("mlflow")


def told(study, home, **changes):
    session = MLFLOW.open(None, experiment="small", home=home)
    study.tell(session, **changes)
    return session


def runs(study, home):
    return MLFLOW.runs(None, experiment="small", home=home, study_uid=study.start.uid)


def client(home):
    import mlflow

    return mlflow.MlflowClient(tracking_uri=places.resolve(None, home))


def id_of(home, run):
    return Store(places.resolve(None, home), experiment="small", home=home).run_id(run.uid)


class TestWhatIsWritten:
    def test_a_whole_study_reads_back(self, study, home):
        session = told(study, home)
        session.study_finished(study.result, {"figures/history.html": "<p>", "figures/history.png": b"\x89PNG"})
        delivery = session.close(60)
        assert delivery.is_complete, str(delivery)
        parent, *trials = runs(study, home)
        assert parent.status == "FINISHED"
        assert parent.metrics["objective"] == [(4, pytest.approx(0.83))]
        assert [run.status for run in trials] == ["FINISHED", "KILLED", "FAILED", "FINISHED"]
        assert [run.tags["searchlab.state"] for run in trials] == ["complete", "pruned", "failed", "complete"]
        assert [step for step, _ in trials[0].metrics["val_accuracy"]] == [1, 2, 3]
        assert {run.tags["mlflow.parentRunId"] for run in trials} == {id_of(home, parent)}
        for run in trials:
            assert run.tags["searchlab.git_commit"] == "abc1234"
            assert run.tags["searchlab.data_digest"] == "9a1c33d2f00e4b71"

    def test_files_and_data_are_there(self, study, home):
        session = told(study, home)
        session.study_finished(study.result, {"figures/history.png": b"\x89PNG"})
        session.close(60)
        parent, first, *_ = runs(study, home)
        mlflow = client(home)
        paths = {file.path for file in mlflow.list_artifacts(id_of(home, parent))}
        assert paths == {"best_trials.json", "facts.json", "figures", "study.yaml"}
        place = mlflow.download_artifacts(id_of(home, parent), "figures/history.png")
        with open(place, "rb") as file:
            assert file.read() == b"\x89PNG"
        assert {file.path for file in mlflow.list_artifacts(id_of(home, first))} == {"model_summary.txt", "trial.json"}
        inputs = mlflow.get_run(id_of(home, first)).inputs.dataset_inputs
        contexts = {one.tags[0].value: one.dataset for one in inputs}
        assert set(contexts) == {"train", "validation"}
        assert {one.digest for one in contexts.values()} == {"9a1c33d2f00e4b71"}
        assert json.loads(contexts["train"].profile)["num_rows"] == 60

    def test_times_are_those_that_were_recorded(self, study, home):
        told(study, home, until=1).close(60)
        run = client(home).get_run(id_of(home, runs(study, home)[1]))
        assert (run.info.start_time, run.info.end_time) == (1_700_000_000_000, 1_700_000_005_000)
        points = client(home).get_metric_history(run.info.run_id, "val_loss")
        assert [point.timestamp for point in points] == [1_700_000_001_000, 1_700_000_002_000, 1_700_000_003_000]

    def test_the_runs_table_sorts_by_the_objective(self, study, home):
        told(study, home, until=0).close(60)
        tags = client(home).get_experiment_by_name("small").tags
        assert tags["mlflow.experiment.primaryMetric.name"] == "objective"
        assert tags["mlflow.experiment.primaryMetric.greaterIsBetter"] == "True"

    def test_test_metrics_are_on_the_study_once_the_seal_is_open(self, study, home):
        session = told(study, home)
        session.study_finished(study.result)
        session.close(60)
        run = id_of(home, runs(study, home)[0])
        ended = client(home).get_run(run).info.end_time
        later = MLFLOW.open(None, experiment="small", home=home)
        later.study_started(study.start)
        score = TestScore(3, {"accuracy": 0.8}, {"accuracy": (0.6, 0.9)}, "Wilson", 20, 1)
        later.test_scored(score)
        later.study_finished(replace(study.result, test=score))
        assert later.close(60).is_complete
        assert client(home).get_run(run).info.end_time == ended  # the search ended then, not now
        parent = runs(study, home)[0]
        assert parent.metrics["test_accuracy"] == [(1, 0.8)]
        assert len(parent.metrics["objective"]) == 1
        assert (parent.status, parent.tags["searchlab.state"]) == ("FINISHED", "complete")
        assert "0.8 (95 % interval" in parent.tags["mlflow.note.content"]


class TestResuming:
    def test_looking_in_leaves_a_finished_study_finished(self, study, home):
        session = told(study, home)
        session.study_finished(study.result)
        session.close(60)
        before = runs(study, home)
        later = MLFLOW.open(None, experiment="small", home=home)
        later.study_started(study.start)
        later.close(60)
        assert runs(study, home) == before

    def test_an_interrupted_study_continues_in_the_same_runs(self, study, home):
        session = MLFLOW.open(None, experiment="small", home=home)
        session.study_started(study.start)
        session.trial_started(study.trials[0])
        session.epoch(study.epochs(0)[0])
        session.close(60)
        parent, first = runs(study, home)
        assert (parent.status, first.status) == ("KILLED", "KILLED")
        assert first.tags["searchlab.state"] == "interrupted"
        session = told(study, home)
        session.study_finished(study.result)
        session.close(60)
        parent, first, *rest = runs(study, home)
        assert (parent.status, first.status, len(rest)) == ("FINISHED", "FINISHED", 3)
        assert [step for step, _ in first.metrics["val_loss"]] == [1, 2, 3]

    def test_a_lost_attempt_is_closed_by_the_next(self, study, home):
        store = Store(places.resolve(None, home), experiment="small", home=home)
        session = MLFLOW.open(None, experiment="small", home=home)
        session.study_started(study.start)
        session.trial_started(study.trials[0])
        assert session.flush(60)  # and then the process dies
        later = MLFLOW.open(None, experiment="small", home=home)
        later.study_started(study.start)
        later.trial_started(replace(study.trials[0], attempt=2))
        later.trial_finished(replace(study.records[0], trial=replace(study.trials[0], attempt=2)))
        later.close(60)
        _, first, second = store.runs(study.start.uid)
        assert (first.status, first.tags["searchlab.state"]) == ("FAILED", "lost")
        assert (second.status, second.tags["searchlab.attempt"]) == ("FINISHED", "2")


class TestRefusals:
    def test_one_bad_step_does_not_take_the_others_with_it(self, study, home):
        told(study, home, until=1).close(60)
        store = Store(places.resolve(None, home), experiment="small", home=home)
        run = runs(study, home)[1].uid
        steps = [
            Step("params", run, 1.0, {"values": {"model.depth": "99"}}),
            Step("params", run, 1.0, {"values": {"new": "1"}}),
            Step("file", run, 1.0, {"path": "../outside.txt", "text": "x"}),
            Step("tags", "nobody", 1.0, {"values": {"a": "b"}}),
        ]
        refused = store.write(steps)
        assert [step for step, _ in refused] == [steps[0], steps[2], steps[3]]
        assert runs(study, home)[1].params["new"] == "1"

    def test_more_than_one_batch_of_everything_arrives(self, study, home, monkeypatch):
        told(study, home, until=1).close(60)
        store = Store(places.resolve(None, home), experiment="small", home=home)
        run = runs(study, home)[1].uid
        log_batch = store.client.log_batch

        def strict(run, metrics=(), params=(), tags=()):  # as a server is, and a database is not
            assert len(metrics) <= 1000
            assert len(params) <= 100
            assert len(tags) <= 100
            log_batch(run, metrics, params, tags)

        monkeypatch.setattr(store.client, "log_batch", strict)
        steps = [Step("metrics", run, 1.0, {"step": step, "values": {"many": float(step)}}) for step in range(2100)]
        steps += [Step("params", run, 1.0, {"values": {f"p{n}": "1" for n in range(230)}})]
        assert store.write(steps) == []
        stored = runs(study, home)[1]
        assert len(stored.metrics["many"]) == 2100
        assert sum(name.startswith("p") for name in stored.params) == 230

    def test_a_deleted_experiment_is_named(self, study, home):
        told(study, home, until=0).close(60)
        mlflow = client(home)
        mlflow.delete_experiment(mlflow.get_experiment_by_name("small").experiment_id)
        delivery = told(study, home, until=0).close(60)
        assert not delivery.is_complete
        assert "the experiment 'small' was deleted" in delivery.reason

    def test_a_broken_store_is_a_service_error(self, study, tmp_path):
        (tmp_path / "mlflow.db").write_bytes(b"this is no database, whatever its name says" * 10)
        with pytest.raises(ServiceError, match="cannot be read"):
            runs(study, tmp_path)


class TestPlaces:
    @pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "htp://host", "databricks", ""])
    def test_places_that_are_no_store_are_refused_at_once(self, uri, tmp_path):
        with pytest.raises(SpecError, match="no tracking store"):
            MLFLOW.open(uri, experiment="x", home=tmp_path)

    def test_passwords_are_not_repeated(self, tmp_path):
        with pytest.raises(SpecError) as caught:
            places.resolve("ftp://user:secret@host/x", tmp_path)
        assert "secret" not in str(caught.value)
        assert "secret" not in places.page("http://user:secret@host", "/x")

    def test_a_port_where_nobody_listens_is_said(self, tmp_path):
        reason = MLFLOW.check("http://127.0.0.1:9", home=tmp_path)
        assert reason is not None
        assert "127.0.0.1:9" in reason
        assert MLFLOW.check(None, home=tmp_path) is None

    def test_the_embedded_store_is_in_the_home_and_its_readers_never_wait(self, study, home):
        told(study, home, until=0).close(60)
        mode = sqlite3.connect(home / "mlflow.db").execute("PRAGMA journal_mode").fetchone()
        assert mode == ("wal",)

    def test_a_ui_is_started_for_a_database_and_not_for_a_server(self, tmp_path):
        assert ui_command("http://host:5000", home=tmp_path) is None
        command, environment = ui_command(None, home=tmp_path, port=5055)
        assert command[0] == sys.executable
        assert "5055" in command
        assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


@pytest.mark.slow
def test_two_processes_may_make_the_schema_at_once(study, tmp_path):
    code = (
        "import sys; from pathlib import Path; from searchlab.tracking import TRACKERS;"
        "TRACKERS.get('mlflow').runs(None, experiment='x', home=Path(sys.argv[1]), study_uid='s')"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE) for _ in range(2)]
    for child in children:
        _, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors.decode()


def test_d8_a_home_may_have_any_name(study, tmp_path):
    home = tmp_path / "50% o?ff #1 späß"
    session = MLFLOW.open(None, experiment="small", home=home)
    study.tell(session)
    assert session.close(120).is_complete
    assert len(MLFLOW.runs(None, experiment="small", home=home, study_uid=study.start.uid)) == 5
    assert (home / "mlflow.db").stat().st_size > 0


@pytest.mark.parametrize(
    "path",
    [
        "../a.txt",
        "a/../../b",
        "..%2fa.txt",
        "%2e%2e/a",
        "%252e%252e%252fa.txt",
        "/a.txt",
        "%2fa",
        "..\\a",
        "a\x00b",
        "",
    ],
    ids=ascii,
)
def test_h7_a_file_that_would_leave_its_runs_folder_is_refused(study, home, path):
    session = MLFLOW.open(None, experiment="small", home=home)
    session.study_started(study.start)
    session.study_finished(study.result, {path: "evil", "good.txt": "good"})
    delivery = session.close(30)
    assert delivery.refused == 1 and "leaves the run's folder" in delivery.reason
    assert [file.name for file in home.rglob("*.txt")] == ["good.txt"]

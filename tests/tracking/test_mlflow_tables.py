import sqlite3
from contextlib import closing
from dataclasses import replace

from searchlab.tracking.mlflow import places, tables
from searchlab.tracking.mlflow.content import Content
from searchlab.tracking.mlflow.store import Store

BEGAN = 1_700_000_000.0


def steps(study):
    content = Content(study.start)
    yield from content.study_started()
    for trial, record in zip(study.trials, study.records, strict=True):
        yield from content.trial_started(trial, record.started)
        for epoch in study.epochs(trial.number):
            yield from content.epoch(epoch, 1, record.started + epoch.epoch)
        yield from content.trial_finished(record)


def written(study, home, monkeypatch, *, knows):
    """Everything that MLflow reads of a study, without the names it drew."""
    if not knows:
        monkeypatch.setattr(tables, "FINGERPRINTS", frozenset())
    store = Store(places.resolve(None, home), experiment="small", home=home)
    assert store._knows_tables is knows, "MLflow's tables have changed: look at tables.py, then add the fingerprint"
    assert store.write(list(steps(study))) == []
    client = store.client
    parent = store.run_id(Content(study.start).parent)
    found = []
    for run in client.search_runs([store.experiment_id], order_by=["attributes.start_time"]):
        info = {k: v for k, v in dict(run.info).items() if k not in ("run_id", "run_uuid", "artifact_uri")}
        if run.info.run_id == parent:
            info["start_time"] = 0
        tags = {key: value for key, value in run.data.tags.items() if key != "mlflow.parentRunId"}
        assert run.info.run_id == parent or run.data.tags["mlflow.parentRunId"] == parent
        assert run.info.artifact_uri == f"{places.artifact_folder(store.uri, home)}/{run.info.run_id}/artifacts"
        history = {
            key: [
                (point.step, point.value, point.timestamp) for point in client.get_metric_history(run.info.run_id, key)
            ]
            for key in run.data.metrics
        }
        inputs = sorted(
            ([(tag.key, tag.value) for tag in one.tags], sorted(dict(one.dataset).items(), key=str))
            for one in run.inputs.dataset_inputs
        )
        files = {}
        for file in client.list_artifacts(run.info.run_id):
            with open(client.download_artifacts(run.info.run_id, file.path), "rb") as content:
                files[file.path] = content.read()
        files.pop("facts.json", None)
        found.append((info, tags, run.data.params, run.data.metrics, history, inputs, files))
    return found


def other_home(tmp_path, home):
    folder = tmp_path / "other"
    folder.mkdir()
    with closing(sqlite3.connect(home / "mlflow.db")) as made, closing(sqlite3.connect(folder / "mlflow.db")) as copy:
        made.backup(copy)
    return folder


def test_mlflow_reads_the_same_whichever_way_a_trial_was_written(study, home, tmp_path, monkeypatch):
    other = other_home(tmp_path, home)
    straight = written(study, home, monkeypatch, knows=True)
    ordinary = written(study, other, monkeypatch, knows=False)
    assert len(straight) == 5
    assert straight == ordinary


def test_a_trial_that_is_told_in_parts_goes_the_ordinary_way(study):
    told = list(steps(study))
    mine = [step for step in told if step.run == told[-1].run]
    assert tables.whole(mine) is not None
    assert tables.whole(mine[:-1]) is None
    assert tables.whole(mine[1:]) is None
    assert tables.whole([*mine, *mine]) is None
    assert tables.whole([step for step in told if step.run == told[0].run]) is None
    outside = replace(mine[1], kind="file", body={"path": "../x", "text": ""})
    assert tables.whole([mine[0], outside, mine[-1]]) is None


def test_writing_again_adds_nothing(study, home):
    uri = places.resolve(None, home)
    told = list(steps(study))
    for _ in range(2):
        assert Store(uri, experiment="small", home=home).write(told) == []
    store = Store(uri, experiment="small", home=home)
    _, *trials = store.runs(study.start.uid)
    assert [len(run.metrics["val_accuracy"]) for run in trials] == [3, 1, 2, 3]


def test_tables_that_are_not_known_are_not_written(home):
    uri = places.resolve(None, home)
    assert tables.are_known(uri)
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        database.execute("alter table tags add column kind text")
        database.commit()
    assert not tables.are_known(uri)
    assert not tables.are_known("postgresql+psycopg://host/db")


def test_an_experiment_that_was_deleted_takes_nothing(study, home):
    store = Store(places.resolve(None, home), experiment="small", home=home)
    told = list(steps(study))
    store.write([step for step in told if step.run == told[0].run])
    store.client.delete_experiment(store.experiment_id)
    trial = tables.whole([step for step in told if step.run == told[-1].run])
    assert tables.write(store.uri, store.experiment_id, [trial], {trial.parent: store.run_id(trial.parent)}) == {}

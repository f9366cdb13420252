"""Whether MLflow has what the storage has can be proved, and where it has not, it is written again.  Faults C8, C14."""

import shutil
import sqlite3
from contextlib import closing

import mlflow
import pytest

from searchlab.errors import ServiceError, StudyConflict
from searchlab.tracking import TRACKERS
from searchlab.tracking.mlflow.outbox import FOLDER

MLFLOW = TRACKERS.get("mlflow")


@pytest.fixture
def written(study, home):
    """A home whose MLflow has the whole study."""
    session = MLFLOW.open(None, experiment="small", home=home)
    study.tell(session)
    session.study_finished(study.result, {"figures/a.html": "<p>a"})
    assert session.close(60).is_complete
    return home


def audit(study, home):
    return MLFLOW.audit(None, experiment="small", home=home, start=study.start, records=study.records)


def rebuild(study, home):
    return MLFLOW.rebuild(None, experiment="small", home=home, start=study.start, result=study.result)


def content(study, home):
    found = MLFLOW.runs(None, experiment="small", home=home, study_uid=study.start.uid)
    own = {"searchlab.led_by", "mlflow.parentRunId", "mlflow.note.content"}
    return [
        (run.uid, run.name, run.status, run.params, run.metrics, {k: v for k, v in run.tags.items() if k not in own})
        for run in found
    ]


def client(home):
    return mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")


def harm(home, *statements):
    with closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        for statement in statements:
            assert database.execute(statement).rowcount > 0


def run_of(study, home, number):
    store = client(home)
    experiment = store.get_experiment_by_name("small").experiment_id
    (run,) = store.search_runs([experiment], f"tags.`searchlab.trial` = '{number}'")
    return run.info.run_id


def test_an_undisturbed_study_is_equal_by_counts_and_checksums(study, written):
    found = audit(study, written)
    assert found.is_equal and found.faults == ()
    assert (found.trials, found.runs, found.waiting, found.refused) == (4, 4, 0, 0)
    assert found.records > 20 and found.storage_digest == found.tracked_digest != ""


HARM = {
    "a deleted run": (lambda s, h: client(h).delete_run(run_of(s, h, 1)), "trial 1 has no run"),
    "another end": (lambda s, h: client(h).set_terminated(run_of(s, h, 0), "FAILED"), "trial 0 is FINISHED in the"),
    "another parameter": (
        lambda s, h: harm(h, "UPDATE params SET value = '9' WHERE key = 'model.depth' AND value = '1'"),
        "trial 0: other parameters: model.depth",
    ),
    "another objective": (
        lambda s, h: harm(h, "UPDATE metrics SET value = 0.9 WHERE key = 'val_accuracy' AND step = 2"),
        "trial 0: val_accuracy is [(1, 0.51), (2, 0.52)",
    ),
    "a lost point of another metric": (
        lambda s, h: harm(h, "DELETE FROM metrics WHERE key = 'val_loss' AND step = 3"),
        "trial 0: val_loss lacks or differs at [3]",
    ),
    "a point twice": (
        lambda s, h: client(h).log_metric(run_of(s, h, 3), "loss", 1.0, timestamp=77, step=1),
        "trial 3: loss has points twice",
    ),
    "a run that goes on": (lambda s, h: client(h).update_run(run_of(s, h, 2), "RUNNING"), "trial 2 is FAILED in the"),
    "another end of its own run": (
        lambda s, h: harm(h, "UPDATE runs SET status = 'KILLED' WHERE name = 'small'"),
        "the study's own run is KILLED, and was ended as FINISHED",
    ),
    "no run of its own": (
        lambda s, h: harm(h, "UPDATE runs SET lifecycle_stage = 'deleted' WHERE name = 'small'"),
        "the study has no run",
    ),
}


@pytest.mark.parametrize("deed", HARM)
def test_c8_what_was_changed_by_hand_is_found_and_written_again(study, written, deed):
    before = content(study, written)
    harmful, words = HARM[deed]
    harmful(study, written)
    found = audit(study, written)
    assert not found.is_equal and any(words in fault for fault in found.faults), found.faults
    assert rebuild(study, written).is_complete
    assert audit(study, written).faults == () and audit(study, written).is_equal
    assert content(study, written) == before


@pytest.fixture
def bare(written, tmp_path, empty_store):
    """The same home, whose MLflow was lost."""
    folder = tmp_path / "bare"
    shutil.copytree(written / FOLDER, folder / FOLDER)
    from conftest import copied

    copied(empty_store, folder)
    return folder


def test_a_store_that_is_gone_is_made_again_from_the_journals(study, written, bare):
    assert not audit(study, bare).is_equal
    assert rebuild(study, bare).is_complete
    assert audit(study, bare).is_equal
    assert content(study, bare) == content(study, written)
    assert [path.parts[-2:] for path in (bare / "artifacts").rglob("*.html")] == [("figures", "a.html")]


def test_without_journals_it_is_made_from_the_storage(study, bare):
    shutil.rmtree(bare / FOLDER)
    assert rebuild(study, bare).is_complete
    found = audit(study, bare)
    assert found.is_equal and found.records == 0
    assert [row[2] for row in content(study, bare)] == ["FINISHED", "FINISHED", "KILLED", "FAILED", "FINISHED"]


def test_what_is_not_delivered_is_counted(study, home):
    session = MLFLOW.open("http://127.0.0.1:9", experiment="small", home=home)
    study.tell(session)
    session.close(5)
    found = audit(study, home)
    assert found.waiting > 20 and found.records == 0 and not found.is_equal


def test_nobody_writes_again_what_a_living_session_writes(study, home):
    session = MLFLOW.open(None, experiment="small", home=home)
    study.tell(session, until=1)
    with pytest.raises(StudyConflict, match="works on this study"):
        rebuild(study, home)
    session.close(30)


def test_a_store_out_of_reach_is_said_in_one_line(study, home):
    with pytest.raises(ServiceError, match="cannot be read"):
        MLFLOW.audit("http://127.0.0.1:9", experiment="small", home=home, start=study.start, records=study.records)

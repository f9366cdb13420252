"""Models under a name: in the embedded store, and on a real server with users that takes no foreign sources."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
import numpy as np
import pytest

from benchmarks.mlflow_server import Server, with_users
from searchlab.errors import DataError, ServiceError, SpecError, StudyConflict
from searchlab.tracking import PROMOTED, TRACKERS, Registered, Release
from searchlab.tracking.mlflow.champion import FILE

MLFLOW = TRACKERS.get("mlflow")
PASSWORD = "correct horse battery"


def release_of(model: Path, *, trial: int = 3, name: str = "small", card: str = "A card.") -> Release:
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    return Release(name, "champion", trial, digest, card, {"report.html": "<p>report</p>"})


def log(study, home: Path, uri: str | None, content: bytes, file: str = "model.keras") -> Path:
    """A finished study with a logged model, which is no real one: nothing here may open it."""
    model = home / file
    model.write_bytes(content)
    session = MLFLOW.open(uri, experiment="small", home=home)
    study.tell(session)
    session.study_finished(study.result)
    session.log_model(model, inputs=np.zeros((3, 4), np.float32), outputs=np.zeros((3, 2), np.float32))
    delivery = session.close(60)
    assert delivery.is_complete, str(delivery)
    return model


def promote(study, home: Path, uri: str | None, release: Release) -> Registered:
    return MLFLOW.promote(uri, experiment="small", home=home, start=study.start, result=study.result, release=release)


def client_of(home: Path) -> mlflow.MlflowClient:
    place = f"sqlite:///{home / 'mlflow.db'}"
    return mlflow.MlflowClient(tracking_uri=place, registry_uri=place)


def logged_folder(home: Path) -> Path:
    (model,) = (home / "artifacts").rglob(FILE)
    return model.parents[1]


def test_a_model_is_registered_once_and_the_alias_points_to_it(study, home):
    model = log(study, home, None, b"the model")
    first = promote(study, home, None, release_of(model))
    again = promote(study, home, None, release_of(model, card="A newer card."))
    assert (first.version, first.is_new, first.before) == ("1", True, None)
    assert (again.version, again.is_new, again.before) == ("1", False, "1")
    client = client_of(home)
    assert len(client.search_model_versions("name = 'small'")) == 1
    version = client.get_model_version_by_alias("small", "champion")
    assert version.version == 1 or version.version == "1"
    assert version.tags["searchlab.study"] == "small"
    assert version.tags["searchlab.trial"] == "3"
    assert version.tags["searchlab.uid"] == study.start.uid
    assert version.tags["searchlab.sha256"] == hashlib.sha256(b"the model").hexdigest()
    assert version.description.startswith("A newer card.")
    assert client.get_registered_model("small").description == version.description


def test_links_lead_both_ways(study, home):
    model = log(study, home, None, b"the model")
    registered = promote(study, home, None, release_of(model))
    client = client_of(home)
    version = client.get_model_version("small", registered.version)
    run = client.get_run(version.run_id)
    assert (
        f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}?workflowType=machine_learning)"
        in version.description
    )
    assert f"runs/{run.info.run_id}/artifacts/report.html?" in version.description
    assert [file.path for file in client.list_artifacts(run.info.run_id) if file.path == "report.html"]
    assert run.data.tags["searchlab.registered"] == "small 1 @champion"
    assert (
        "[small version 1](#/models/small/versions/1) as `champion` (trial 3)" in run.data.tags["mlflow.note.content"]
    )
    assert registered.page == "/#/models/small/versions/1"
    (logged,) = client.search_logged_models([run.info.experiment_id])
    assert "small" in logged.tags["mlflow.modelVersions"]


def test_the_studys_page_leads_to_its_trials(study, home):
    log(study, home, None, b"the model")
    client = client_of(home)
    experiment = client.get_experiment_by_name("small")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`searchlab.kind` = 'study'")
    key = next(key.rpartition(".")[2] for key in experiment.tags if key.startswith("mlflow.sharedViewState."))
    note = run.data.tags["mlflow.note.content"]
    assert f"(#/experiments/{experiment.experiment_id}/runs?" in note and f"viewStateShareKey={key})" in note
    assert "$" not in note


def test_the_page_of_the_logged_model_is_not_empty(study, home):
    log(study, home, None, b"the model")
    client = client_of(home)
    (logged,) = client.search_logged_models([client.get_experiment_by_name("small").experiment_id])
    assert logged.params["optimizer.learning_rate"] == "0.00316228"
    assert [(metric.key, metric.value) for metric in logged.metrics] == [("val_accuracy", study.result.best.value)]
    assert logged.tags["searchlab.trial"] == "3" and "trial 3 of small" in logged.tags["mlflow.note.content"]


def test_the_link_stays_when_the_study_is_finished_again(study, home):
    model = log(study, home, None, b"the model")
    registered = promote(study, home, None, release_of(model))
    session = MLFLOW.open(None, experiment="small", home=home)
    session.study_started(study.start)
    told = replace(study.result, facts={**study.result.facts, PROMOTED: registered.among(())})
    session.study_finished(told)
    assert session.close(60).is_complete
    run = client_of(home).get_run(client_of(home).get_model_version("small", "1").run_id)
    assert "(#/models/small/versions/1)" in run.data.tags["mlflow.note.content"]


def test_the_model_of_another_trial_is_another_version_and_the_alias_moves(study, home):
    one = log(study, home, None, b"the model")
    promote(study, home, None, release_of(one))
    other = log(study, home, None, b"a better model", "better.keras")
    second = promote(study, home, None, release_of(other, trial=0))
    assert (second.version, second.is_new, second.before, second.before_of) == ("2", True, "1", "trial 3 of small")
    client = client_of(home)
    assert str(client.get_model_version_by_alias("small", "champion").version) == "2"
    back = promote(study, home, None, release_of(one))
    assert (back.version, back.is_new, back.before) == ("1", False, "2")


def test_what_was_promoted_under_other_names_is_not_forgotten(study):
    one = Registered("a", "1", "champion", 3, True, None, "", "")
    two = replace(one, model="b")
    moved = replace(one, version="2", trial=0)
    assert [row["version"] for row in moved.among(two.among(one.among(())))] == ["1", "2"]


def test_a_card_that_is_too_long_leaves_room_for_the_links(study, home):
    model = log(study, home, None, b"the model")
    promote(study, home, None, release_of(model, card="x" * 9000))
    description = client_of(home).get_model_version("small", "1").description
    assert len(description) <= 5000 and "the study's run" in description[-500:]


def test_h3_a_swapped_model_is_refused_before_anything_is_registered(study, home):
    model = log(study, home, None, b"the model")
    (logged_folder(home) / FILE).write_bytes(b"another model")
    with pytest.raises(DataError, match="not the one that was logged"):
        promote(study, home, None, release_of(model))
    assert client_of(home).search_registered_models() == []


@pytest.mark.parametrize("file", ["MLmodel", "data/keras_module.txt", "requirements.txt"])
def test_h3_a_swapped_file_beside_the_model_is_refused(study, home, file):
    model = log(study, home, None, b"the model")
    path = logged_folder(home) / file
    path.write_text("loader_module: os")
    with pytest.raises(DataError, match="beside the model"):
        promote(study, home, None, release_of(model))
    assert client_of(home).search_registered_models() == []


def test_h3_a_file_that_is_missing_is_noticed_and_one_that_mlflow_adds_does_not_matter(study, home):
    model = log(study, home, None, b"the model")
    (logged_folder(home) / "registered_model_meta").write_text("model_name: small")  # as loading a model does
    assert promote(study, home, None, release_of(model)).is_new
    (logged_folder(home) / "MLmodel").unlink()
    with pytest.raises(DataError, match="MLmodel"):
        promote(study, home, None, release_of(model))


def test_h3_a_tag_that_was_changed_with_the_file_does_not_help(study, home):
    model = log(study, home, None, b"the model")
    client = client_of(home)
    (logged,) = client.search_logged_models([client.get_experiment_by_name("small").experiment_id])
    (logged_folder(home) / FILE).write_bytes(b"another model")
    client.set_logged_model_tags(logged.model_id, {"searchlab.sha256": hashlib.sha256(b"another model").hexdigest()})
    with pytest.raises(StudyConflict, match="is not in the tracking store"):  # the storage says which it is
        promote(study, home, None, release_of(model))


def test_a_model_that_was_never_logged_is_not_registered(study, home):
    session = MLFLOW.open(None, experiment="small", home=home)
    study.tell(session)
    session.close(60)
    (home / "model.keras").write_bytes(b"the model")
    with pytest.raises(StudyConflict, match="searchlab sync small"):
        promote(study, home, None, release_of(home / "model.keras"))


def test_a_study_that_is_not_tracked_has_nothing_to_register_in(study, home):
    with pytest.raises(SpecError, match="searchlab export small"):
        TRACKERS.get("none").promote(
            None,
            experiment="small",
            home=home,
            start=study.start,
            result=study.result,
            release=Release("small", "champion", 3, "", ""),
        )


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with users, which takes models from its own artifact store only."""
    running = with_users(tmp_path_factory.mktemp("strict"), PASSWORD)
    running.start()
    try:
        running.wait()
        yield running
    finally:
        running.kill()


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)


@pytest.mark.slow
class TestOnAServerWithUsers:
    def test_a_model_is_registered_from_the_servers_own_files(self, strict, admin, study, tmp_path):
        model = log(study, tmp_path, strict.uri, b"the model")
        first = promote(study, tmp_path, strict.uri, release_of(model, card="x" * 9000))
        again = promote(study, tmp_path, strict.uri, release_of(model))
        assert (first.version, first.is_new, again.version, again.is_new) == ("1", True, "1", False)
        assert first.page == f"{strict.uri}/#/models/small/versions/1"
        client = mlflow.MlflowClient(tracking_uri=strict.uri, registry_uri=strict.uri)
        version = client.get_model_version_by_alias("small", "champion")
        assert version.source.startswith("mlflow-artifacts:/")
        (logged,) = client.search_logged_models([client.get_experiment_by_name("small").experiment_id])
        assert version.source == logged.artifact_location and version.run_id == logged.source_run_id
        assert "small" in logged.tags["mlflow.modelVersions"]  # the page of the logged model knows its version
        got = mlflow.artifacts.download_artifacts(
            artifact_uri=client.get_model_version_download_uri("small", "1"),
            dst_path=str(tmp_path),
            tracking_uri=strict.uri,
        )
        assert Path(got, FILE).read_bytes() == b"the model"

    def test_h3_a_model_that_was_swapped_in_the_servers_folder_is_refused(self, strict, admin, study, tmp_path):
        model = log(study, tmp_path, strict.uri, b"a third model")
        client = mlflow.MlflowClient(tracking_uri=strict.uri)
        experiment = client.get_experiment_by_name("small").experiment_id
        (logged,) = (
            one
            for one in client.search_logged_models([experiment])
            if one.tags["searchlab.sha256"] == hashlib.sha256(b"a third model").hexdigest()
        )
        inside = unquote(urlsplit(logged.artifact_location).path).lstrip("/")
        (file,) = (strict.folder / "artifacts" / inside).rglob("model.keras")
        file.write_bytes(b"evil")
        with pytest.raises(DataError, match="Nothing was registered"):
            promote(study, tmp_path, strict.uri, release_of(model, name="swapped"))
        assert not client.search_registered_models("name = 'swapped'")

    def test_who_has_no_password_is_told_so(self, strict, study, tmp_path, monkeypatch):
        for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            monkeypatch.delenv(name, raising=False)
        (tmp_path / "model.keras").write_bytes(b"the model")
        with pytest.raises(ServiceError, match="MLFLOW_TRACKING_USERNAME") as caught:
            promote(study, tmp_path, strict.uri, release_of(tmp_path / "model.keras"))
        assert PASSWORD not in str(caught.value)

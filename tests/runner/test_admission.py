"""H12: what leads a study of a team trusts neither the queue nor the storage with what may be read and where to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from searchlab.config.writer import to_yaml
from searchlab.errors import SearchlabError, SpecError
from searchlab.records import Objective
from searchlab.runner import admission, serve, stored
from searchlab.runner import lead as leading
from searchlab.runner.evaluator import Evaluator, Team
from searchlab.runner.home import Home
from searchlab.runner.lead import lead
from searchlab.search.queue import QUEUE, Entry, Queue
from searchlab.search.study import Study
from searchlab.space import Fixed, Parameter, Pick, Space
from searchlab.tracking.mlflow.inbox import Request

STUDY = """
study: tables
data: {source: csv, path: table.csv, target: label}
task: tabular_classification
space: {model: {mlp: {}}, optimizer: {adam: {learning_rate: [0.01, 0.1]}}, training: {batch_size: 32}}
search: {sampler: random, trials: 2}
"""

HOSTILE = {
    "a_file": (("path: table.csv", "path: /etc/passwd"), "not the team's data"),
    "the_seal": (("path: table.csv", "path: ../home/sealed/x.csv"), "not the team's data"),
    "a_variable": (("target: label", "target: '${SECRET}'"), "may name no environment variable"),
    "another_study": (("study: tables", "study: others"), "is the file of another"),
    "a_name": (("study: tables", "study: ../tables"), "study"),
    "a_backbone": (("mlp: {}", "transfer: {backbone: /etc/x.keras}"), "cannot be sent to a team"),
    "no_file": (("study: tables", "'; DROP TABLE \x1b[2J"), ""),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A team's folders, and the environment of what its evaluator starts."""
    for name, value in {
        "SEARCHLAB_STORAGE": f"sqlite:///{tmp_path}/studies.db",
        "SEARCHLAB_TRACKING": "http://127.0.0.1:9",
        "SECRET": "canary",
        admission.ROOTS: admission.roots_of(tmp_path / "uploads", tmp_path / "data"),
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "uploads").mkdir()
    return tmp_path


@pytest.mark.parametrize("name", HOSTILE)
def test_h12_a_leader_reads_nothing_that_is_not_the_teams(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(leading, "run", lambda *_, **__: pytest.fail("it was led"))
    change, words = HOSTILE[name]
    assert change[0] in STUDY
    url = os.environ["SEARCHLAB_STORAGE"]
    queue = Queue(url)
    queue.submit(Entry("tables", "ann", STUDY.replace(*change), "/etc", request="7"))
    with pytest.raises(SearchlabError, match=words) as caught:
        lead("tables", Home(place / "home"), url)
    entry = queue.entry("tables")
    assert entry.state == "failed" and "canary" not in f"{caught.value} {entry.progress}"
    queue.close()


def test_h12_a_leader_takes_the_folder_from_its_evaluator_and_the_servers_of_the_team(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(leading, "run", lambda spec, *_, **__: seen.append(spec) or pytest.skip.Exception("led"))
    url = os.environ["SEARCHLAB_STORAGE"]
    queue = Queue(url)
    evil = f"{STUDY}tracking: {{uri: 'http://evil.invalid'}}\nstorage: sqlite:///evil.db\n"
    queue.submit(Entry("tables", "ann", evil, "/etc"))
    with pytest.raises(AttributeError):
        lead("tables", Home(place / "home"), url)
    (spec,) = seen
    assert (spec.folder, spec.tracking.uri, spec.storage) == (place / "uploads", "http://127.0.0.1:9", url)
    assert to_yaml(spec.resolved()).count("${SEARCHLAB_") == 2
    monkeypatch.delenv(admission.ROOTS)
    with pytest.raises(SpecError, match="SEARCHLAB_ROOTS is not set"):
        lead("tables", Home(place / "home"), url)
    queue.close()


def stored_study(url: str, **facts: Any) -> None:
    space = Space((Parameter("training.batch_size", Fixed(32)),))
    what: dict[str, Any] = {"sampler": Pick("random", {}), "pruner": Pick("none", {}), "epochs": 1, "seed": 1}
    Study.create(url, "tables", space=space, objective=Objective("val_loss", "minimize"), facts=facts, **what).close()


@pytest.mark.parametrize("name", HOSTILE)
def test_h12_the_final_test_of_a_team_reads_nothing_that_is_not_the_teams(place: Path, name: str) -> None:
    change, words = HOSTILE[name]
    url = os.environ["SEARCHLAB_STORAGE"]
    stored_study(url, resolved=STUDY.replace(*change), folder="/etc")
    with pytest.raises(SearchlabError, match=words):
        stored.stored_spec("tables", Home(place / "home"), url)


@pytest.mark.parametrize(
    "facts", [{"resolved": 3, "folder": "/"}, {"resolved": STUDY}, {"resolved": STUDY, "folder": 1}]
)
def test_h12_a_stored_study_without_its_file_is_a_conflict(place: Path, facts: dict[str, Any]) -> None:
    url = os.environ["SEARCHLAB_STORAGE"]
    stored_study(url, **facts)
    with pytest.raises(SearchlabError, match="without"):
        stored.stored_spec("tables", Home(place / "home"), url)


def test_h12_the_final_test_of_a_team_asks_the_teams_servers_alone(place: Path) -> None:
    url = os.environ["SEARCHLAB_STORAGE"]
    evil = f"{STUDY}tracking: {{uri: 'http://evil.invalid'}}\nstorage: sqlite:///evil.db\n"
    stored_study(url, resolved=evil, folder="/etc")
    spec = stored.stored_spec("tables", Home(place / "home"), url)
    assert (spec.folder, spec.tracking.uri, spec.storage) == (place / "uploads", "http://127.0.0.1:9", url)


def evaluator_of(place: Path) -> Evaluator:
    team = Team(os.environ["SEARCHLAB_STORAGE"], "http://127.0.0.1:9", place / "uploads", place / "data")
    return Evaluator(team, Home(place / "home"))


def test_h12_an_evaluator_outlives_what_it_did_not_expect(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = evaluator_of(place)
    monkeypatch.setattr(evaluator, "_rest", lambda seconds: None)

    def fail() -> None:
        raise AssertionError("evil")

    evaluator._sure(fail)


def test_h12_an_evaluator_leads_the_honest_beside_hostile_rows(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator, started = evaluator_of(place), []
    evaluator._queue = Queue(evaluator.team.storage)
    row: dict[str, Any] = {
        "owner": "ann",
        "priority": 0,
        "quota": None,
        "submitted": 1.0,
        "wanted": 1,
        "served": 0.0,
        "spec": "",
        "folder": "/etc",
        "request": "",
        "progress": '{"trials": 3, "best": {"value": "x"}}',
    }
    with evaluator._queue._engine.begin() as connection:
        for study, state in (("../../x", "open"), ("evil", "evil"), ("honest", "open")):
            connection.execute(QUEUE.insert(), {**row, "study": study, "state": state})
    monkeypatch.setattr(evaluator, "_start", lambda user, command, study: started.append(study))
    evaluator._lead()
    assert started == ["honest"] and "honest  ann  open  0 of ? trials" in evaluator._status()
    assert not (place / "x").exists()
    evaluator._queue.close()


def test_h12_what_an_evaluator_starts_knows_the_folders(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(admission.ROOTS)
    seen: dict[str, Any] = {}
    monkeypatch.setattr("subprocess.Popen", lambda words, **options: seen.update(options))
    evaluator_of(place)._start("ann", "final-test", "tables")
    assert seen["env"][admission.ROOTS] == f"{place / 'uploads'}{os.pathsep}{place / 'data'}"
    assert evaluator_of(place)._spec(STUDY, Request("7", "ann", "waiting", "run", "tables", {})).name == "tables"


@pytest.mark.parametrize("error", [KeyError("x"), AssertionError(), TypeError("y"), RecursionError()])
def test_h12_a_worker_outlives_a_study_that_it_cannot_make_out(
    place: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(serve, "stored_spec", fail)
    watching: Callable[..., Any] = pytest.fail
    server = serve.Server(Home(place / "home"), os.environ["SEARCHLAB_STORAGE"], watching)
    server._queue = Queue(os.environ["SEARCHLAB_STORAGE"])
    server._serve("tables")
    assert "tables" in server._shunned
    server._queue.close()


def test_h12_a_worker_sends_its_password_to_the_teams_server_alone(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def note(*_: Any, overrides: tuple[str, ...], **__: Any) -> None:
        seen.extend(overrides)
        raise KeyError

    monkeypatch.setattr(serve, "stored_spec", note)
    server = serve.Server(Home(place / "home"), os.environ["SEARCHLAB_STORAGE"], pytest.fail)
    server._queue = Queue(os.environ["SEARCHLAB_STORAGE"])
    server._serve("tables")
    assert "tracking.uri=${SEARCHLAB_TRACKING}" in seen
    server._queue.close()

"""What is sent to a team, and what its evaluator does not take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from searchlab.errors import DataError, SearchlabError, ServiceError, SpecError
from searchlab.runner import submit as submitting
from searchlab.runner.evaluator import Evaluator, Team
from searchlab.runner.home import Home
from searchlab.runner.submit import follow, make_user, submit
from searchlab.search.queue import Queue
from searchlab.spec.load import load_study
from searchlab.tracking.mlflow.inbox import Answer, Request

SPACE = "space: {model: {mlp: {}}, optimizer: {adam: {learning_rate: [0.01, 0.1]}}, training: {batch_size: 32}}"
STUDY = f"""
study: tables
data: {{source: csv, path: table.csv, target: label}}
task: tabular_classification
{SPACE}
search: {{sampler: random, trials: 2}}
"""


class Post:
    """An inbox in memory whose evaluator wants all files, or those it says."""

    user = "ann"

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.sent: dict[str, bytes] = {}
        self.asked: dict[str, Any] = {}
        self.posted = False

    def ask(self, kind: str, study: str, **details: Any) -> str:
        self.asked = {"kind": kind, "study": study, **details}
        return "7"

    def send(self, request: str, file: Path) -> None:
        self.sent[file.name] = file.read_bytes()

    def post(self, request: str) -> None:
        self.posted = True

    def answer(self, request: str) -> Answer:
        if not self.answers:
            return Answer("writing", {"send": self.asked["digests"]})
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "PACE", 0.01)
    monkeypatch.setattr(submitting, "SILENCE", 0.2)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    (tmp_path / "table.csv").write_text("a,label\n1,x\n")
    return file


def sent(study: Path, post: Post, *overrides: str) -> str:
    submit(load_study(study, overrides=overrides), post, say=lambda words: None)  # type: ignore[arg-type]
    return post.sent["study.yaml"].decode()


def test_files_are_named_by_their_contents_and_the_teams_own_places_are_left_out(study: Path) -> None:
    post = Post()
    text = sent(study, post, "storage=sqlite:///mine.db", "tracking.uri=http://mine:5000")
    (archive,) = (name for name in post.sent if name.endswith(".tar"))
    assert post.posted and post.asked["digests"] == [archive.removesuffix(".tar")]
    assert f"path: {archive.removesuffix('.tar')}/table.csv" in text
    assert "mine" not in text


def test_what_the_team_has_is_not_sent_again(study: Path) -> None:
    post = Post(Answer("writing", {"send": []}))
    sent(study, post)
    assert list(post.sent) == ["study.yaml"]


def test_a_whole_path_that_is_not_here_is_the_teams(study: Path) -> None:
    post = Post()
    assert "path: /data/table.csv" in sent(study, post, "data.path=/data/table.csv")
    assert list(post.sent) == ["study.yaml"]


def test_a_path_that_is_nowhere_is_told_with_the_nearest(study: Path) -> None:
    with pytest.raises(DataError, match=r"no .*tabel.csv.*Did you mean 'table.csv'"):
        sent(study, Post(), "data.path=tabel.csv")


def test_the_environment_of_this_machine_is_not_sent(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "label")
    with pytest.raises(SpecError, match="environment of this machine"):
        sent(study, Post(), "data.target=${CANARY}")


def test_nobody_who_answers_is_told(study: Path) -> None:
    with pytest.raises(ServiceError, match="is the evaluator running"):
        sent(study, Post(Answer("asking", {})))


def test_a_refusal_is_told_in_its_words(study: Path) -> None:
    with pytest.raises(SpecError, match="no room"):
        sent(study, Post(Answer("refused", {"words": "no room"})))


def test_each_new_word_is_heard_once_and_the_last_one_ends_it() -> None:
    said = [Answer("running", {"n": 1}), Answer("running", {"n": 1}), Answer("running", {"n": 2}), Answer("ended", {})]
    assert list(follow(Post(*said), "7")) == [said[0], said[2], said[3]]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "ann lee", "../ann", "ann\n", "a" * 65, "-ann"])
def test_h7_a_name_that_is_none_makes_no_user(name: str) -> None:
    with pytest.raises(SpecError, match="no name of a user"):
        make_user("http://127.0.0.1:9", name, ("admin", "x"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("target: label", "target: ${SEARCHLAB_STORAGE}"), "environment variable"),
        (("path: table.csv", "path: /etc/passwd"), "not the team's data"),
        (("path: table.csv", "path: ../home/sealed/x.csv"), "not the team's data"),
        (("path: table.csv", "path: ."), "not the team's data"),
        (("sampler: random", "sampler: randm"), "random"),
        (("task: tab", "tracking: {experiment: inbox bob}\ntask: tab"), "is an inbox"),
        ((SPACE, "space: /proc/self/environ"), "space written out"),
    ],
)
def test_h1_a_submitted_study_names_nothing_that_is_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], words: str
) -> None:
    monkeypatch.setenv("SEARCHLAB_STORAGE", "sqlite:///x.db")
    monkeypatch.setenv("SEARCHLAB_TRACKING", "http://127.0.0.1:9")
    uploads, data = tmp_path / "uploads", tmp_path / "data"
    uploads.mkdir()
    evaluator = Evaluator(Team("sqlite:///x.db", "http://127.0.0.1:9", uploads, data), Home(tmp_path / "home"))
    request = Request("7", "ann", "waiting", "run", "tables", {})
    assert evaluator._spec(STUDY, request).tracking.uri == "http://127.0.0.1:9"
    assert evaluator._spec(STUDY.replace("table.csv", f"{data}/t.csv"), request).name == "tables"
    assert change[0] in STUDY
    with pytest.raises(SearchlabError, match=words):
        evaluator._spec(STUDY.replace(*change), request)


class Box:
    """The evaluator's side of an inbox, in memory."""

    def __init__(self) -> None:
        self.begun = [Request("1", "ann", "running", "status", "", {})]
        self.said: list[tuple[str, str]] = []

    def running(self) -> tuple[Request, ...]:
        return tuple(self.begun)

    def requests(self) -> tuple[Request, ...]:
        return ()

    def answer(self, request: str, stage: str, **content: Any) -> None:
        self.said.append((request, stage))


def test_what_a_killed_evaluator_had_begun_is_done_by_the_next_one_and_once(tmp_path: Path) -> None:
    evaluator, box = Evaluator(Team("", "", tmp_path), Home(tmp_path)), Box()
    evaluator._inboxes = box  # type: ignore[assignment]
    evaluator._queue = Queue(f"sqlite:///{tmp_path / 'queue.db'}")
    evaluator._look_for_requests()
    assert not box.said, "the users are not known yet"
    evaluator._looked = 1.0
    evaluator._look_for_requests()
    evaluator._look_for_requests()
    assert box.said == [("1", "ended")]
    evaluator._queue.close()

"""A study that is forked from another one: what its sampler knows beforehand, and that nothing else does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from searchlab.errors import StudyConflict, UnknownName
from searchlab.records import Objective, Trial, TrialResult
from searchlab.reports.words import fork_lines
from searchlab.search import SAMPLERS
from searchlab.search.study import Study
from searchlab.space import Choice, Condition, Fixed, Float, Int, Parameter, Pick, Space

sys.path.append(str(Path(__file__).parents[1]))

from postgres import close_connections, url_of

SPACE = Space(
    (
        Parameter("optimizer", Choice(("adam", "sgd"))),
        Parameter("optimizer.adam.learning_rate", Float(0.0, 1.0), Condition("optimizer", ("adam",))),
        Parameter("optimizer.sgd.momentum", Float(0.0, 1.0), Condition("optimizer", ("sgd",))),
        Parameter("training.batch_size", Fixed(32)),
    )
)
PLAIN = Space((Parameter("optimizer", Fixed("sgd")), Parameter("optimizer.sgd.momentum", Float(0.0, 1.0))))
EAGER = Pick("tpe", {"random_share": 0.0})
BEST = 0.9
WHAT: dict[str, Any] = {
    "space": SPACE,
    "objective": Objective("val_loss", "minimize"),
    "sampler": Pick("random", {}),
    "pruner": Pick("none", {}),
    "epochs": 3,
    "seed": 1,
    "facts": {"task": "t", "data_digest": "d"},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield url_of(request.param, tmp_path)
    close_connections()


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'studies.db'}"


def loss(trial: Trial) -> float:
    return float(
        abs(next(v for n, v in trial.params.values.items() if n.endswith(("momentum", "learning_rate"))) - BEST)
    )


def trained(study: Study, trials: int) -> Study:
    for _ in range(trials):
        trial = study.ask()
        study.tell(TrialResult(trial.number, "complete", loss(trial)))
    return study


def old(url: str, trials: int = 30, **changes: Any) -> Study:
    return trained(Study.create(url, "old", **{**WHAT, **changes}), trials)


def fork(url: str, name: str = "new", **changes: Any) -> Study:
    return Study.create(url, name, **{**WHAT, **changes}, fork_of="old")


@pytest.mark.parametrize("space", [SPACE, PLAIN], ids=["conditional", "plain"])
def test_a_sampler_that_learns_begins_where_the_old_study_ended(url: str, space: Space) -> None:
    old(url, space=space)
    new = trained(fork(url, space=space, sampler=EAGER), 8)
    alone = trained(Study.create(url, "alone", **{**WHAT, "space": space, "sampler": EAGER}), 8)
    losses, others = ([record.value or 0.0 for record in study.records()] for study in (new, alone))
    assert sum(losses) < 0.5 * sum(others)


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS.names() if name not in ("gp", "cmaes")])
def test_n_asked_are_n_new_ones(file: str, sampler: str) -> None:
    old(file)
    new = fork(file, sampler=Pick(sampler, {}), space=PLAIN if sampler == "grid" else SPACE)
    while new.remaining(12):
        trained(new, 1)
    assert [record.trial.number for record in new.records()] == list(range(12))
    assert len(Study.open(file, "old").records()) == 30


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_draws_that_do_not_learn_are_those_of_any_study(file: str, sampler: str) -> None:
    old(file)
    changes = {"sampler": Pick(sampler, {})}
    alone = trained(Study.create(file, "alone", **{**WHAT, **changes}), 5)
    assert [r.trial for r in trained(fork(file, **changes), 5).records()] == [r.trial for r in alone.records()]


def test_a_sampler_that_learns_does_not_draw_the_same_once_more(file: str) -> None:
    """With the seed of the old study, its random draws came again one by one."""
    changes = {"sampler": Pick("tpe", {"random_share": 1.0})}
    before = {record.trial.params.digest() for record in old(file, 6, **changes).records()}
    after = {record.trial.params.digest() for record in trained(fork(file, **changes), 6).records()}
    assert not before & after


def test_who_opens_it_later_knows_the_same(file: str) -> None:
    old(file)
    fork(file, sampler=EAGER)
    again = Study.open(file, "new")
    assert [trial.user_attrs["forked_from"]["study"] for trial in again._past] == ["old"] * 30
    first = trained(fork(file, "new", sampler=EAGER), 3).records()
    assert [r.trial for r in trained(fork(file, "twin", sampler=EAGER), 3).records()] == [r.trial for r in first]


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (Space((*SPACE.parameters, Parameter("training.clip_norm", Float(0.0, 1.0)))), "training.clip_norm is new"),
        (Space(SPACE.parameters[:-1]), "training.batch_size is no more"),
        (
            Space((*SPACE.parameters[:-1], Parameter("training.batch_size", Choice((64, 128))))),
            "training.batch_size lies outside of what it may be now",
        ),
    ],
)
def test_what_does_not_fit_is_left_out_with_the_reason(file: str, space: Space, reason: str) -> None:
    old(file, 4)
    new = fork(file, space=space)
    assert new.facts["forked_from"] == {"study": "old", "trials": 0, "left_out": {reason: 4}}
    (line,) = fork_lines(new.facts)
    assert "0 of its trials" in line and f"4 do not fit: 4 × {reason}." in line


def test_a_fixed_value_may_vary_and_a_varied_one_may_be_fixed(file: str) -> None:
    study = old(file, 12)
    sgd = [r for r in study.records() if r.trial.params.values["optimizer"] == "sgd"]
    momentum = SPACE.parameters[2]
    space = Space((Parameter("optimizer", Fixed("sgd")), replace(momentum, condition=None)))
    new = fork(file, space=Space((*space.parameters, Parameter("training.batch_size", Int(16, 64)))))
    assert new.facts["forked_from"]["trials"] == len(sgd) == len(new._past)
    assert [trial.params["training.batch_size"] for trial in new._past] == [32] * len(sgd)


def test_the_unfinished_and_the_failed_teach_nothing_and_the_pruned_their_last_value(file: str) -> None:
    study = old(file, 1)
    pruned, failed, _ = study.ask(), study.ask(), study.ask()
    study.judge([(pruned.number, 1, 0.7), (pruned.number, 2, 0.4)])
    study.tell(TrialResult(pruned.number, "pruned", None))
    study.tell(TrialResult(failed.number, "failed", None, reason="why"))
    new = fork(file)
    assert new.facts["forked_from"] == {"study": "old", "trials": 2, "left_out": {"failed": 1, "running": 1}}
    assert [trial.intermediate_values for trial in new._past] == [{}, {2: 0.4}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"facts": {"task": "t", "data_digest": "other"}}, r'data_digest: "d" \| "other"'),
        ({"objective": Objective("val_accuracy", "maximize")}, "objective: "),
    ],
)
def test_values_that_do_not_compare_are_refused(file: str, change: dict[str, Any], words: str) -> None:
    old(file, 1)
    with pytest.raises(StudyConflict, match=words):
        fork(file, **change)
    assert Study.names(file) == ("old",)


def test_a_name_that_is_taken_is_refused_unless_it_is_this_fork(file: str) -> None:
    old(file, 1)
    Study.create(file, "taken", **WHAT)
    with pytest.raises(StudyConflict, match="no fork of 'old'"):
        fork(file, "taken")
    trained(fork(file), 2)
    assert len(fork(file).records()) == 2


def test_a_study_that_is_not_there_cannot_be_forked(file: str) -> None:
    with pytest.raises(UnknownName, match="old"):
        fork(file)


def test_a20_a_fork_whose_maker_was_killed_before_it_was_said_what_it_is_is_made_again(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(name: str) -> None:
        raise Killed

    old = Study.create(file, "old", **WHAT)
    old.tell(TrialResult(old.ask().number, "complete", 0.5))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("searchlab.search.study.failpoint", killed)
        Study.create(file, "new", **WHAT, fork_of="old")
    new = Study.create(file, "new", **WHAT, fork_of="old")
    assert new.facts["forked_from"] == {"study": "old", "trials": 1, "left_out": {}}

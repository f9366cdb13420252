"""H12: what strangers write into the storage is looked at before it is used; the budget and the workers outlive it."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from searchlab.errors import StudyConflict
from searchlab.records import Objective, Trial, TrialResult
from searchlab.search.intake import MOST_BYTES, is_result
from searchlab.search.mirror import PARAMS, SYSTEM_ATTRS, USER_ATTRS, VALUES
from searchlab.search.storage import open_storage
from searchlab.search.study import Study
from searchlab.space import Choice, Condition, Fixed, Float, Int, Parameter, Pick, Space
from searchlab.space.measure import contains

sys.path.append(str(Path(__file__).parents[1]))

from postgres import url_of

SPACE = Space(
    (
        Parameter("optimizer", Choice(("adam", "sgd"))),
        Parameter("optimizer.adam.learning_rate", Float(1e-4, 1e-1, log=True), Condition("optimizer", ("adam",))),
        Parameter("model.mlp.units", Int(8, 64, step=8)),
        Parameter("training.clip_norm", Choice((None, 1.0))),
        Parameter("training.batch_size", Fixed(32)),
    )
)
UNITS = "model.mlp.units"
QUOTES = "'; DROP TABLE trials; -- \x1b[2J\r\n"
BUDGET = 5

ASKED: dict[str, dict[str, Any]] = {
    "outside": {UNITS: 1_000_000, "optimizer": "adam", "optimizer.adam.learning_rate": 17.0},
    "between_steps": {UNITS: 9},
    "unknown_names": {"model.mlp.depth": 3, QUOTES: QUOTES, "": 1},
    "wrong_types": {UNITS: "many", "optimizer": 3, "training.clip_norm": "1.0"},
    "lists": {UNITS: [8, 16], "optimizer": {"adam": 1}},
    "truth": {UNITS: True, "training.clip_norm": True},
    "quotes": {"optimizer": QUOTES},
    "no_numbers": {UNITS: math.nan, "optimizer.adam.learning_rate": math.inf},
    "endless": {UNITS: 10**400},
}

TRIALS: dict[str, Any] = {
    "params_outside": {"params": {"optimizer": "sgd", UNITS: 4096}, "seed": 1, "replicate": 0},
    "unknown": {"params": {"optimizer": "sgd", UNITS: 8, "model": "os.system"}, "seed": 1, "replicate": 0},
    "of_another_branch": {"params": {"optimizer.adam.learning_rate": 0.01}, "seed": 1, "replicate": 0},
    "a_list": {"params": {UNITS: [8], "optimizer": ["adam"]}, "seed": 1, "replicate": 0},
    "no_seed": {"params": {}, "seed": "x" * 100, "replicate": 0},
    "text": QUOTES,
    "more": {"params": {}, "seed": 1, "replicate": 0, "number": 7},
    "large": {"params": {"optimizer": "x" * 10_000_000}, "seed": 1, "replicate": 0},
}

RESULT: dict[str, Any] = {"trial": 0, "state": "complete", "value": 0.9, "metrics": {"val_accuracy": 0.9}}

RESULTS: dict[str, Any] = {
    "weights_elsewhere": {**RESULT, "weights": "/etc/passwd"},
    "weights_above": {**RESULT, "weights": "../../trial-0000.weights.npz"},
    "weights_of_another": {**RESULT, "weights": "/home/weights/trial-0007.weights.npz"},
    "weights_a_list": {**RESULT, "weights": ["a"]},
    "no_value": {**RESULT, "value": None},
    "a_value_of_words": {**RESULT, "value": QUOTES},
    "no_number": {**RESULT, "value": "nan"},
    "metrics": {**RESULT, "metrics": [1, 2]},
    "metrics_of_words": {**RESULT, "metrics": {"a": "b"}},
    "state": {**RESULT, "state": "running"},
    "another_trial": {**RESULT, "trial": 3},
    "unknown_fields": {**RESULT, "evil": 1},
    "epochs": {**RESULT, "epochs": "many"},
    "cause": {**RESULT, "state": "failed", "cause": [1]},
    "reason": {**RESULT, "state": "failed", "reason": {"a": 1}},
    "gpu": {**RESULT, "gpu": {"name": 3}},
    "text": "complete",
    "nothing": None,
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, tmp_path)


@pytest.fixture
def create(url: str) -> Iterator[Callable[..., Study]]:
    made: list[Study] = []

    def make(name: str = "digits", **changes: Any) -> Study:
        what: dict[str, Any] = {
            "space": SPACE,
            "objective": Objective("val_accuracy", "maximize"),
            "sampler": Pick("random", {}),
            "pruner": Pick("none", {}),
            "epochs": 9,
            "seed": 7,
            "facts": {},
        }
        made.append(Study.create(url, name, **{**what, **changes}))
        return made[-1]

    yield make
    for study in made:
        study.close()


def stranger(url: str, name: str = "digits") -> optuna.Study:
    """The study as somebody sees it who has nothing but the password."""
    return optuna.load_study(study_name=name, storage=open_storage(url))


def write(url: str, table: sqlalchemy.Table, **values: Any) -> None:
    """A row, past Optuna."""
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(table.insert().values(**values))
    engine.dispose()


def ask_all(study: Study) -> list[Trial]:
    """Ask until the budget is spent, as a supervisor does; each trial is trained and told."""
    trials: list[Trial] = []
    while study.remaining(BUDGET) > 0:
        (trial,) = study.ask_next(BUDGET).trials
        trials.append(trial)
        study.tell(TrialResult(trial.number, "complete", 0.5 + trial.number / 100, metrics={}))
    assert not study.ask_next(BUDGET).trials
    return trials


def test_h12_what_was_enqueued_outside_of_the_space_is_drawn_anew(
    create: Callable[..., Study], url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker ended with the ValueError of the first of these, and so did each that came after it."""
    study, clean = create(), create("clean")
    expected = ask_all(clean)
    other = stranger(url)
    for params in ASKED.values():  # more of them than the budget has
        other.enqueue_trial(params, user_attrs={"note": QUOTES})
    other.enqueue_trial({UNITS: 8})  # beyond the budget
    with caplog.at_level(logging.WARNING):
        trials = ask_all(study)
    assert trials == expected
    assert [record.trial.number for record in study.records()] == list(range(BUDGET))
    assert "values that were asked for" in caplog.text
    assert all(character.isprintable() or character == "\n" for character in caplog.text)


def test_h12_each_of_them_is_drawn_anew(create: Callable[..., Study], url: str) -> None:
    study = create()
    other = stranger(url)
    for params in ASKED.values():
        other.enqueue_trial(params)
    for name in ASKED:
        assert contains(SPACE, study.ask().params), name


def test_h12_what_was_enqueued_inside_of_the_space_is_trained(create: Callable[..., Study], url: str) -> None:
    study = create()
    stranger(url).enqueue_trial({UNITS: 24, "optimizer": "adam", "optimizer.adam.learning_rate": 0.02})
    values = study.ask().params.values
    assert (values[UNITS], values["optimizer"], values["optimizer.adam.learning_rate"]) == (24, "adam", 0.02)


def test_h12_a_written_configuration_that_is_none_is_drawn_anew(create: Callable[..., Study], url: str) -> None:
    study, clean = create(), create("clean")
    waiting = optuna.trial.create_trial(state=optuna.trial.TrialState.WAITING)
    other = stranger(url)
    for _ in TRIALS:
        other.add_trial(waiting)
    for trial, content in zip(other.get_trials(), TRIALS.values(), strict=True):
        write(url, USER_ATTRS, trial_id=trial._trial_id, key="trial", value_json=json.dumps(content))
    cohort = study.ask_cohort(4, left=BUDGET, is_value=lambda name: name == UNITS, budget=BUDGET)
    for begun in cohort.trials:
        study.tell(TrialResult(begun.number, "complete", 0.5, metrics={}))
    assert [*cohort.trials, *ask_all(study)] == ask_all(clean)
    for name in list(TRIALS)[BUDGET:]:
        assert contains(SPACE, study.ask().params), name


def test_h12_rows_that_are_nothing_end_nobody(create: Callable[..., Study], url: str) -> None:
    study = create(sampler=Pick("tpe", {}))
    waiting = optuna.trial.create_trial(state=optuna.trial.TrialState.WAITING)
    other = stranger(url)
    for _ in range(3):
        other.add_trial(waiting)
    ids = [trial._trial_id for trial in other.get_trials()]
    for key in ("attempt", "losses", "lost_after"):
        write(url, USER_ATTRS, trial_id=ids[0], key=key, value_json='"; many"')
    write(url, USER_ATTRS, trial_id=ids[1], key="trial", value_json="{" * 100_000)
    write(url, USER_ATTRS, trial_id=ids[1], key="note", value_json=json.dumps("x" * 10_000_000))
    write(url, SYSTEM_ATTRS, trial_id=ids[0], key="constraints", value_json='"abc"')
    write(url, SYSTEM_ATTRS, trial_id=ids[1], key="fixed_params", value_json="[1]")
    write(url, SYSTEM_ATTRS, trial_id=ids[2], key="evolution", value_json='["a"]')
    write(url, PARAMS, trial_id=ids[0], param_name=UNITS, param_value=1e9, distribution_json='{"name": "Evil"}')
    choice = '{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}'
    write(url, PARAMS, trial_id=ids[1], param_name="optimizer", param_value=99.0, distribution_json=choice)
    trials = ask_all(study)
    assert len(trials) == BUDGET and all(contains(SPACE, trial.params) for trial in trials)
    assert trials[0].attempt == 1
    assert len(Study.open(url, "digits").records()) == BUDGET


def test_h12_a_lost_trial_with_a_count_of_words_waits_again(create: Callable[..., Study], url: str) -> None:
    study = create()
    trial = study.ask()
    frozen = stranger(url).get_trials()[0]
    for key, content in (("losses", '"x"'), ("lost_after", "[]"), ("attempt", "1e99")):
        write(url, USER_ATTRS, trial_id=frozen._trial_id, key=key, value_json=content)
    other = create()
    other.work_as("somewhere/1@1.0")
    assert other.reap() == (trial.number,)
    assert other.ask().attempt == 2


def test_h12_an_end_that_was_made_up_counts_no_value(create: Callable[..., Study], url: str) -> None:
    study = create(sampler=Pick("tpe", {}))
    for content in ({**RESULT, "weights": "/etc/passwd"}, QUOTES):
        made_up = optuna.trial.create_trial(value=0.9, user_attrs={"result": content})
        stranger(url).add_trial(made_up)
    nothing = optuna.trial.create_trial(value=1.0)
    stranger(url).add_trial(nothing)
    trial_id = stranger(url).get_trials()[-1]._trial_id
    write(url, VALUES, trial_id=trial_id, objective=1, value=None, value_type="INF_POS")
    trials = ask_all(study)
    assert [trial.number for trial in trials] == [3, 4], "what has ended counts, however it came there"
    records = Study.open(url, "digits").records()
    assert [record.value for record in records[:3]] == [None] * 3
    assert all(record.result is None for record in records[:3])


@pytest.mark.parametrize("name", RESULTS)
def test_h12_a_result_is_one_in_all_respects(name: str) -> None:
    assert is_result({**RESULT, "weights": "/home/weights/trial-0000.weights.npz"}, 0)
    assert not is_result(RESULTS[name], 0)


@pytest.mark.parametrize(
    "change",
    [
        {"space": [{"name": "x", "kind": "evil"}]},
        {"space": QUOTES},
        {"first_guesses": 3},
        {"objective": {"metric": "a", "direction": "b", "command": "c"}},
        {"format": 1, "sampler": None},
    ],
)
def test_h12_a_definition_that_is_none_is_a_conflict(create: Callable[..., Study], url: str, change: Any) -> None:
    create()
    known = stranger(url)
    known.set_user_attr("definition", {**known.user_attrs["definition"], **change})
    with pytest.raises(StudyConflict, match="cannot be read from the storage"):
        Study.open(url, "digits")


def test_h12_our_own_results_are_far_smaller_than_what_is_read(create: Callable[..., Study], url: str) -> None:
    study = create()
    trial = study.ask()
    large = "x" * (MOST_BYTES // 4)
    study.tell(TrialResult(trial.number, "failed", None, reason="r", detail=large, summary=large, metrics={}))
    (record,) = Study.open(url, "digits").records()
    assert record.result is not None and record.result.detail == large

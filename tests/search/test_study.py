"""The study in the storage: what a supervisor and a reader may rely on."""

from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from searchlab.errors import StudyConflict, UnknownName
from searchlab.records import Objective, Trial, TrialResult
from searchlab.search.study import MAX_ATTEMPTS, TOLD_AS_BAD, Study
from searchlab.space import Choice, Condition, Fixed, Float, Int, Parameter, Params, Pick, Space

sys.path.append(str(Path(__file__).parents[1]))

from postgres import close_connections, url_of

SPACE = Space(
    (
        Parameter("optimizer", Choice(("adam", "sgd"))),
        Parameter("optimizer.adam.learning_rate", Float(1e-4, 1e-1, log=True), Condition("optimizer", ("adam",))),
        Parameter("optimizer.sgd.momentum", Float(0.0, 0.9), Condition("optimizer", ("sgd",))),
        Parameter("model.mlp.units", Int(8, 64, step=8)),
        Parameter("training.clip_norm", Choice((None, 1.0))),
        Parameter("training.batch_size", Fixed(32)),
    )
)
WHAT: dict[str, Any] = {
    "space": SPACE,
    "objective": Objective("val_accuracy", "maximize"),
    "sampler": Pick("random", {}),
    "pruner": Pick("successive_halving", {"reduction_factor": 3}),
    "epochs": 9,
    "seed": 7,
    "facts": {"data_digest": "d1", "task": "image_classification", "git": "abc"},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield url_of(request.param, tmp_path)
    close_connections()


@pytest.fixture
def create(url: str) -> Callable[..., Study]:
    return lambda **changes: Study.create(url, "digits", **{**WHAT, **changes})


def finish(study: Study, value: float | None = 0.5, state: str = "complete", **more: Any) -> Trial:
    trial = study.ask()
    study.tell(TrialResult(trial.number, state, value, **more))  # type: ignore[arg-type]
    return trial


class TestOneTrial:
    def test_is_told_and_read_back_whole(self, create: Callable[..., Study], url: str) -> None:
        study = create()
        trial = study.ask()
        study.report(trial.number, 1, 0.5)
        study.report(trial.number, 2, 0.75)
        result = TrialResult(
            trial=trial.number,
            state="complete",
            value=0.75,
            best_epoch=2,
            epochs=2,
            seconds=1.5,
            metrics={"val_accuracy": 0.75, "val_loss": math.inf},
            weights="weights/trial-0000.weights.npz",
            parameter_count=1234,
            summary="a model\nof two lines",
        )
        study.tell(result)
        (record,) = Study.open(url, "digits").records()
        assert record.trial == trial
        assert record.result == result
        assert (record.state, record.value, record.curve) == ("complete", 0.75, {1: 0.5, 2: 0.75})
        assert record.started is not None and record.finished is not None and record.started <= record.finished
        assert record == study.record(trial.number)

    def test_fixed_parameters_are_no_dimensions_of_the_search(self, create: Callable[..., Study]) -> None:
        study = create()
        trial = study.ask()
        assert trial.params.values["training.batch_size"] == 32
        assert "training.batch_size" not in study._study.trials[0].params

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
    def test_without_a_finite_value_has_failed(self, create: Callable[..., Study], value: float | None) -> None:
        study = create()
        finish(study, value)
        (record,) = study.records()
        assert (record.state, record.value) == ("failed", None)
        assert record.result is not None and "val_accuracy is" in (record.result.reason or "")

    def test_that_failed_keeps_its_reason_and_traceback(self, create: Callable[..., Study]) -> None:
        study = create()
        finish(study, None, "failed", reason="out of memory", detail="Traceback …")
        (record,) = study.records()
        assert record.result is not None
        assert (record.state, record.result.reason, record.result.detail) == ("failed", "out of memory", "Traceback …")

    @pytest.mark.parametrize("cause", TOLD_AS_BAD)
    def test_that_failed_by_its_parameters_violates_a_constraint(
        self, create: Callable[..., Study], url: str, cause: Any
    ) -> None:
        study = create()
        finish(study, None, "failed", reason="it was too large", cause=cause)
        (frozen,) = study._study.get_trials()
        assert frozen.state == optuna.trial.TrialState.PRUNED and frozen.constraints == {f"searchlab:{cause}": 1.0}
        (record,) = Study.open(url, "digits").records()
        assert record.state == "failed" and record.result is not None and record.result.cause == cause
        assert study.remaining(5) == 4

    @pytest.mark.parametrize("cause", ["lost", "error", "time", None])
    def test_that_failed_otherwise_tells_the_sampler_nothing(self, create: Callable[..., Study], cause: Any) -> None:
        study = create()
        finish(study, None, "failed", reason="a bug", cause=cause)
        (frozen,) = study._study.get_trials()
        assert frozen.state == optuna.trial.TrialState.FAIL and not frozen.constraints

    def test_whose_child_died_waits_alone_until_it_has_had_its_attempts(self, create: Callable[..., Study]) -> None:
        study = create()
        first = study.ask()
        for attempt in range(2, MAX_ATTEMPTS + 1):
            assert study.retry(first.number)
            again = study.ask()
            assert (again.number, again.seed, again.attempt) == (first.number, first.seed, attempt)
        assert not study.retry(first.number)
        assert study.record(first.number).state == "running"
        assert study.remaining(5) == 4

    def test_keeps_its_first_ending(self, create: Callable[..., Study]) -> None:
        study = create()
        trial = finish(study, 0.5)
        study.tell(TrialResult(trial.number, "complete", 0.9))
        study.tell(TrialResult(trial.number, "failed", None, reason="late"))
        (record,) = study.records()
        assert record.value == 0.5 and record.state == "complete"

    def test_is_not_pruned_at_its_last_epoch(self, create: Callable[..., Study]) -> None:
        study = create()  # rungs at epochs 1, 3 and 9
        for value in (0.9, 0.9, 0.9):
            trial = study.ask()
            assert [study.report(trial.number, epoch, value) for epoch in range(1, 10)] == [False] * 9
            study.tell(TrialResult(trial.number, "complete", value))
        trial = study.ask()
        assert study.report(trial.number, 9, 0.1) is False

    def test_is_one_of_equal_configurations(self, url: str) -> None:
        tiny = {**WHAT, "space": Space((Parameter("a", Choice((1, 2))),)), "sampler": Pick("grid", {})}
        trials = [finish(Study.create(url, "tiny", **tiny)) for _ in range(5)]
        assert [trial.replicate for trial in trials] == [0, 0, 1, 1, 2]
        assert len({trial.seed for trial in trials}) == 5


def test_tpe_avoids_a_region_in_which_nothing_succeeds(tmp_path: Path) -> None:
    """A third of the space diverges.  Told as plain failures, it would be drawn as if nobody had been there."""
    space = Space((Parameter("x", Float(0.0, 1.0)), Parameter("y", Float(0.0, 1.0))))
    tpe = Pick("tpe", {"random_share": 0.0, "startup_trials": 10, "candidates": 24})
    hits = {}
    for cause in ("diverged", "error"):
        hits[cause] = 0
        for seed in range(3):
            study = Study.create(
                f"sqlite:///{tmp_path / cause}.db",
                f"s{seed}",
                **{**WHAT, "space": space, "sampler": tpe, "pruner": Pick("none", {}), "seed": seed},
            )
            for _ in range(40):
                trial = study.ask()
                x, y = (float(trial.params.values[name]) for name in "xy")  # type: ignore[arg-type]
                is_bad = x > 0.66
                hits[cause] += is_bad
                if is_bad:  # the better it gets, the nearer it is
                    study.tell(TrialResult(trial.number, "failed", None, cause=cause))  # type: ignore[arg-type]
                else:
                    study.tell(TrialResult(trial.number, "complete", x - (y - 0.5) ** 2))
    assert hits["diverged"] < 0.6 * hits["error"], hits


class TestResume:
    def test_with_the_same_definition_opens_what_is_there(self, create: Callable[..., Study]) -> None:
        finish(create())
        again = create(facts={**WHAT["facts"], "git": "def"})
        assert len(again.records()) == 1
        assert again.facts["git"] == "abc"

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (
                {"objective": Objective("val_loss", "minimize")},
                r"objective: metric .val_accuracy., .* \| metric .val_loss.",
            ),
            ({"facts": {**WHAT["facts"], "data_digest": "d2"}}, r'data_digest: "d1" \| "d2"'),
            ({"facts": {**WHAT["facts"], "task": "regression"}}, r"task: .image_classification. \| .regression."),
            ({"epochs": 10}, r"epochs: 9 \| 10"),
            ({"seed": 8}, r"seed: 7 \| 8"),
            ({"sampler": Pick("tpe", {})}, r"sampler: .* \| name .tpe."),
            ({"space": Space(SPACE.parameters[:-1])}, r"space: training.batch_size: .* \| absent"),
            (
                {"space": Space((*SPACE.parameters[:-1], Parameter("training.batch_size", Fixed(64))))},
                r"space: training.batch_size: kind .fixed., value 32 \| kind .fixed., value 64",
            ),
        ],
    )
    def test_with_another_definition_is_refused_with_the_difference(
        self, create: Callable[..., Study], change: dict[str, Any], words: str
    ) -> None:
        create()
        with pytest.raises(StudyConflict, match=words) as refused:
            create(**change)
        assert refused.value.exit_code == 5
        assert sum(line.startswith("  ") for line in str(refused.value).splitlines()) == 1

    @pytest.mark.parametrize(
        ("here", "words"),
        [
            ({"keras": "3.15.9", "numpy": "2.4.1", "optuna": "5.1.0", "python": "3.13.0"}, None),
            ({"keras": "3.16.0"}, r"version of keras: 3.15.1 \| 3.16.0"),
            ({"searchlab": "0.2.0"}, r"version of searchlab: 0.1.0 \| 0.2.0"),
            ({"optuna": "6.0.0"}, r"version of optuna: 5.0.0 \| 6.0.0"),
            ({"tensorflow": "2.22.0"}, r"version of tensorflow: 2.21.0 \| 2.22.0"),
            ({"jax": "0.10.2"}, None),  # another backend's
        ],
    )
    def test_is_refused_where_another_version_would_give_other_numbers(  # B13
        self, create: Callable[..., Study], here: dict[str, str], words: str | None
    ) -> None:
        versions = {
            "searchlab": "0.1.0",
            "keras": "3.15.1",
            "optuna": "5.0.0",
            "numpy": "2.0.2",
            "tensorflow": "2.21.0",
            "python": "3.12.1",
            "jax": "0.9.0",
        }
        facts = {**WHAT["facts"], "backend": "tensorflow"}
        create(facts={**facts, "versions": versions})
        asked = {**facts, "versions": {**versions, **here}}
        if words is None:
            create(facts=asked)
            return
        with pytest.raises(StudyConflict, match=words) as refused:
            create(facts=asked)
        (library,) = here
        assert f"pip install '{library}=={versions[library]}'" in str(refused.value)
        assert "--fork NAME" in str(refused.value)

    def test_is_refused_on_another_backend_and_with_another_plan(self, create: Callable[..., Study]) -> None:
        plan = {"precision": "float32", "deterministic": True}
        create(facts={**WHAT["facts"], "backend": "tensorflow", "plan": plan})
        with pytest.raises(StudyConflict) as refused:
            create(facts={**WHAT["facts"], "backend": "jax", "plan": {**plan, "precision": "mixed_bfloat16"}})
        assert 'backend: "tensorflow" | "jax"' in str(refused.value)
        assert 'training: precision: "float32" | "mixed_bfloat16"' in str(refused.value)

    def test_does_not_compare_what_an_older_version_did_not_note(self, create: Callable[..., Study]) -> None:
        create()
        create(facts={**WHAT["facts"], "backend": "jax", "versions": {"keras": "9.9"}, "plan": {"precision": "x"}})

    def test_gives_lost_trials_another_attempt_under_their_number(self, create: Callable[..., Study]) -> None:
        before = create()
        finish(before)
        lost = before.ask()
        before.report(lost.number, 1, 0.5)
        study = create()
        assert study.reap() == (1,)
        assert study.records()[1].state == "waiting"
        again = study.ask()
        assert again == replace(lost, attempt=2)
        assert study.ask().number == 2

    @pytest.mark.filterwarnings("error")
    def test_does_not_judge_epochs_that_an_earlier_attempt_passed(self, create: Callable[..., Study]) -> None:
        before = create()
        lost = before.ask()
        for epoch in (1, 2, 3):
            before.report(lost.number, epoch, 0.5)
        for _ in range(4):  # by now 0.5 would be the worst at epochs 1 and 3
            other = before.ask()
            for epoch in range(1, 10):
                before.report(other.number, epoch, 0.9)
            before.tell(TrialResult(other.number, "complete", 0.9))
        study = create()
        study.reap()
        again = study.ask()
        assert [study.report(again.number, epoch, 0.5) for epoch in (1, 2, 3)] == [False] * 3
        assert study.record(again.number).curve == {1: 0.5, 2: 0.5, 3: 0.5}

    def test_gives_up_a_trial_that_is_lost_again_and_again(self, create: Callable[..., Study]) -> None:
        for _ in range(MAX_ATTEMPTS):
            study = create()
            study.reap()
            study.ask()
        study = create()
        assert study.reap() == (0,)
        (record,) = study.records()
        assert record.state == "failed" and record.result is not None and "lost" in (record.result.reason or "")

    def test_finishes_a_trial_whose_claimer_died_before_choosing(self, create: Callable[..., Study]) -> None:
        create()._study.ask()
        study = create()
        assert study.records()[0].trial.params.values == {}
        study.reap()
        trial = study.ask()
        assert (trial.number, trial.attempt) == (0, 2) and trial.params.values

    def test_counts_what_has_ended_or_runs_against_the_budget(self, create: Callable[..., Study]) -> None:
        study = create()
        finish(study)
        finish(study, None, "failed")
        finish(study, 0.1, "pruned")
        study.ask()
        assert study.remaining(10) == 6
        assert study.remaining(3) == 0
        study = create()
        study.reap()
        assert study.remaining(10) == 7


class TestReaders:
    def test_rebuild_everything_from_the_storage(self, create: Callable[..., Study], url: str) -> None:
        guess = Params({"optimizer": "sgd", "optimizer.sgd.momentum": 0.5, "model.mlp.units": 8})
        made = create(first_guesses=[guess])
        made.remember(experiment="16", git="def")
        made.remember(experiment="17")
        read = Study.open(url, "digits")
        assert read.definition == made.definition
        assert read.space.digest() == SPACE.digest()
        assert read.facts == {**WHAT["facts"], "experiment": "17", "git": "def"}
        assert Study.names(url) == ("digits",)

    def test_make_no_storage(self, url: str, tmp_path: Path) -> None:
        assert Study.names(url) == ()
        with pytest.raises(UnknownName):
            Study.open(url, "digits")
        assert list(tmp_path.iterdir()) == []

    def test_are_offered_the_nearest_name(self, create: Callable[..., Study], url: str) -> None:
        create()
        with pytest.raises(UnknownName, match="Did you mean 'digits'"):
            Study.open(url, "digit")

    def test_refuse_a_study_of_somebody_else(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        optuna.create_study(storage=url, study_name="foreign")
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        with pytest.raises(StudyConflict, match="not made by searchlab"):
            Study.open(url, "foreign")


CLAIM = """
import json, sys
from searchlab.search.study import Study
from tests_study_what import WHAT
study = Study.create(sys.argv[1], "digits", **WHAT)
print(json.dumps([study.ask().number for _ in range(5)]))
"""


def test_processes_that_start_at_once_share_one_study_and_claim_no_trial_twice(url: str, tmp_path: Path) -> None:
    (tmp_path / "tests_study_what.py").write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom test_study import WHAT\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", CLAIM, url], stdout=subprocess.PIPE, cwd=tmp_path, text=True)
        for _ in range(3)
    ]
    outputs = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert sorted(number for output in outputs for number in json.loads(output)) == list(range(15))


def test_asking_costs_no_more_queries_late_than_early(create: Callable[..., Study], url: str) -> None:
    if not url.startswith("sqlite"):
        pytest.skip("statements are counted by SQLite's own connections")
    study = create(sampler=Pick("tpe", {"startup_trials": 3}))

    def statements() -> int:
        counted: list[str] = []
        before = {id(c) for c in connections}
        for connection in connections:
            connection.set_trace_callback(counted.append)
        trial = study.ask()
        study.report(trial.number, 1, 0.5)
        study.tell(TrialResult(trial.number, "complete", 0.5))
        assert before == {id(c) for c in connections}
        return len(counted)

    connections: list[sqlite3.Connection] = []
    optuna_engine = study._storage._backend.engine
    with optuna_engine.connect() as connection:
        connections.append(connection.connection.dbapi_connection)
    for _ in range(4):
        finish(study)
    early = max(statements() for _ in range(3))
    for _ in range(25):
        finish(study)
    assert min(statements() for _ in range(3)) <= early + 5

"""The memory before Optuna's tables: it holds what they hold, and asks and writes little."""

from __future__ import annotations

import itertools
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from searchlab.records import Objective, TrialResult
from searchlab.search import mirror, sqlite_file
from searchlab.search.storage import open_storage
from searchlab.search.study import Study
from searchlab.space import Choice, Float, Parameter, Pick, Space

sys.path.append(str(Path(__file__).parents[1]))

from postgres import close_connections, url_of

SPACE = Space((Parameter("units", Choice((8, 16))), Parameter("rate", Float(1e-4, 1.0, log=True))))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield url_of(request.param, tmp_path)
    close_connections()


@pytest.fixture
def opened(url: str) -> Callable[[], optuna.Study]:
    """Opens one study, each time as another process would."""
    optuna.create_study(
        storage=open_storage(url), study_name="a", direction="maximize", pruner=optuna.pruners.NopPruner()
    )
    return lambda: mirror.mirrored(optuna.load_study(storage=open_storage(url), study_name="a"))


def of_optuna(url: str) -> list[FrozenTrial]:
    """The trials as Optuna's own storage reads them."""
    return optuna.load_study(storage=open_storage(url), study_name="a").trials


def lead_a_life(study: optuna.Study) -> None:
    """Trials of every state, with parameters, attributes and values of every kind."""
    for number, state in enumerate([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]):
        trial = study.ask()
        trial.suggest_float("x", 1e-3, 1.0, log=True)
        trial.suggest_int("n", 1, 9, step=2)
        trial.suggest_categorical("c", [None, True, "text", 1.5])
        trial.set_user_attr("note", {"nested": [1, 2.5, None], "ü": "é"})
        trial.set_user_attr("note", {"replaced": number})
        trial.report(0.25, 1)
        trial.report(float("nan"), 2)
        trial.report(float("inf"), 3)
        trial.study._storage.set_trial_system_attr(trial._trial_id, "completed_rung_0", 0.75)
        study.tell(trial, 0.5 if state is TrialState.COMPLETE else None, state=state)
    study.ask().suggest_float("x", 1e-3, 1.0, log=True)
    template = create_trial(
        state=TrialState.WAITING,
        params={"x": 0.5, "n": 3, "c": "text"},
        distributions={
            "x": FloatDistribution(1e-3, 1.0, log=True),
            "n": IntDistribution(1, 9, step=2),
            "c": CategoricalDistribution([None, True, "text", 1.5]),
        },
        user_attrs={"attempt": 2},
        system_attrs={"fixed": 1},
    )
    assert mirror.enqueue(study, [template] * 3, first=4)
    mirror.claim(study, [study.trials[5]._trial_id])


@pytest.mark.parametrize("gathered", [False, True], ids=["one by one", "together"])
def test_holds_what_optuna_reads_from_the_tables(opened: Callable[[], optuna.Study], url: str, gathered: bool) -> None:
    study = opened()
    if gathered:
        with mirror.together(study):
            lead_a_life(study)
    else:
        lead_a_life(study)
    assert [trial.number for trial in study.trials] == list(range(7))
    for ours in (study.trials, opened().trials):
        assert list(map(repr, ours)) == list(map(repr, of_optuna(url)))


def test_a_transaction_holds_all_that_was_gathered_even_when_an_error_ends_it(
    opened: Callable[[], optuna.Study], url: str
) -> None:
    study = opened()
    trial = study.ask()
    with pytest.raises(RuntimeError, match="in between"), mirror.together(study):
        trial.report(0.5, 1)
        with mirror.together(study):
            trial.report(0.6, 2)
        assert of_optuna(url)[0].intermediate_values == {}
        raise RuntimeError("in between")
    assert of_optuna(url)[0].intermediate_values == {1: 0.5, 2: 0.6}


def test_a_patient_write_waits_for_the_next_one(opened: Callable[[], optuna.Study], url: str) -> None:
    study = opened()
    trial = study.ask()
    trial.set_user_attr("a", 1)
    with mirror.together(study, patient=True):
        trial.report(0.5, 1)
    assert of_optuna(url)[0].intermediate_values == {}
    assert study.trials[0].intermediate_values == {1: 0.5}
    study.tell(trial, 0.5)
    assert of_optuna(url)[0].intermediate_values == {1: 0.5}


class TestTwoProcesses:
    def test_see_each_other_at_the_next_refresh(self, opened: Callable[[], optuna.Study]) -> None:
        one, other = opened(), opened()
        theirs = one.ask()
        other.ask()
        assert [trial.number for trial in other.trials] == [0, 1]
        theirs.report(0.5, 1)
        assert other.trials[0].intermediate_values == {}
        mirror.refresh(other)
        assert other.trials[0].intermediate_values == {1: 0.5}
        one.tell(theirs, 0.5)
        mirror.refresh(other)
        assert other.trials[0].state == TrialState.COMPLETE

    def test_may_read_while_another_writes(
        self, opened: Callable[[], optuna.Study], url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not url.startswith("sqlite"):
            pytest.skip("readers and writers of a server never wait for each other")
        monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT", 0.1)
        one = opened()
        one.ask()
        writer = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        mirror.refresh(one)
        assert len(one.trials) == 1

    def test_do_not_claim_one_trial_twice(self, opened: Callable[[], optuna.Study]) -> None:
        one, other = opened(), opened()
        waiting = create_trial(state=TrialState.WAITING)
        assert mirror.enqueue(one, [waiting] * 3, first=0)
        assert not mirror.enqueue(other, [waiting] * 3, first=0)
        mirror.refresh(other)
        ids = [trial._trial_id for trial in one.trials]
        assert mirror.claim(one, ids[:2]) == tuple(ids[:2])
        assert mirror.claim(other, ids) == (ids[2],)
        assert [trial.state for trial in other.trials] == [TrialState.RUNNING] * 3

    def test_only_the_first_ending_of_a_trial_is_stored(self, opened: Callable[[], optuna.Study], url: str) -> None:
        one, other = opened(), opened()
        one.ask()
        mirror.refresh(other)
        other.tell(0, 0.9)
        with pytest.raises(UpdateFinishedTrialError, match="trial 0"), mirror.together(one):
            one._storage.set_trial_user_attr(one.trials[0]._trial_id, "late", True)
            one.tell(0, 0.1)
        for trials in (one.trials, of_optuna(url)):
            assert (trials[0].value, trials[0].user_attrs) == (0.9, {})


@contextmanager
def counted(study: Study, word: str) -> Iterator[list[str]]:
    """The statements that begin with `word`, while inside."""
    seen: list[str] = []

    def hear(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith(word):
            seen.append(statement)

    engine = study._storage._backend.engine
    sqlalchemy.event.listen(engine, "before_cursor_execute", hear)
    yield seen
    sqlalchemy.event.remove(engine, "before_cursor_execute", hear)


def create(url: str, pruner: str) -> Study:
    return Study.create(
        url,
        "a study",
        space=SPACE,
        objective=Objective("val_accuracy", "maximize"),
        sampler=Pick("random", {}),
        pruner=Pick(pruner, {}),
        epochs=9,
        seed=0,
        facts={},
    )


@pytest.mark.parametrize(("pruner", "most"), [("none", 4), ("successive_halving", 3 + 10)])
def test_a_trial_needs_few_transactions_early_and_late(url: str, pruner: str, most: int) -> None:
    study = create(url, pruner)
    needed = []
    for _ in range(30):
        with counted(study, "BEGIN") as begun:
            trial = study.ask()
            for epoch in range(1, 10):
                study.report(trial.number, epoch, 0.5)
            study.tell(TrialResult(trial.number, "complete", 0.5))
            study.record(trial.number)
        needed.append(len(begun))
    assert max(needed) <= most
    assert len(set(needed[1:])) == 1 or pruner == "none"  # without a pruner a second may end in between


def test_an_epoch_of_many_trials_is_one_transaction(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"  # whose transactions are counted by their first words
    study = create(url, "successive_halving")
    numbers = [study.ask().number for _ in range(16)]
    with counted(study, "BEGIN") as begun:
        stop = study.judge([(number, 1, number * 7 % 16 / 16) for number in numbers])
    assert len(begun) == 1
    assert 4 < len(stop) < 16
    curves = [record.curve for record in Study.open(url, "a study").records()]
    assert curves == [{1: number * 7 % 16 / 16} for number in numbers]


def test_trials_judged_together_fare_as_one_after_another(tmp_path: Path) -> None:
    stops = []
    for name, size in (("together", 8), ("alone", 1)):
        study = create(f"sqlite:///{tmp_path}/{name}.db", "successive_halving")
        points = [(study.ask().number, 1, value) for value in (0.3, 0.9, 0.1, float("nan"), 0.5, 0.7, 0.2, 0.8)]
        parts = [points[i : i + size] for i in range(0, 8, size)]
        stops.append(frozenset(itertools.chain.from_iterable(map(study.judge, parts))))
    assert stops[0] == stops[1] and 3 in stops[0]

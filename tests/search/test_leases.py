"""Several supervisors on one study: who holds which trial, and what becomes of trials whose holder is gone."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import psutil
import pytest
import sqlalchemy
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from optuna.exceptions import StorageInternalError

from searchlab.errors import ServiceError, StudyConflict
from searchlab.records import Cohort, TrialResult
from searchlab.search import leases, mirror
from searchlab.search.leases import Owner
from searchlab.search.study import MAX_ATTEMPTS, Study

sys.path.append(str(Path(__file__).parents[1]))

from postgres import close_connections, url_of
from small_study import small_study

P = ParamSpec("P")
T = TypeVar("T")

WORKER = """
import sys, time
from searchlab.records import TrialResult
from searchlab.search.leases import Owner
from searchlab.search.study import Study
url, budget, cohort, dies = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "dies"
study = Study.open(url, "s")
study.work_as(Owner.here().name)
while (left := study.remaining(budget)) > 0:
    trials = study.ask_cohort(cohort, left=left, is_value=lambda name: True, budget=budget).trials
    print(*(trial.number for trial in trials), flush=True)
    if dies:
        time.sleep(60)
    for trial in trials:
        study.judge([(trial.number, 1, 0.5)])
        study.tell(TrialResult(trial.number, "complete", 0.5))
"""


def open_study(url: str, sampler: str = "random") -> Study:
    return small_study(url, sampler=sampler)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield url_of(request.param, tmp_path)
    close_connections()


def worker(url: str, budget: int, *, cohort: int = 3, dies: bool = False) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WORKER, url, str(budget), str(cohort), "dies" if dies else "lives"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def supervisor(url: str, name: str = "elsewhere/1@1.0", seconds: float = 60.0) -> Study:
    study = open_study(url)
    study.work_as(name, seconds=seconds)
    return study


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_budget_is_exact_with_several_processes(url: str, sampler: str) -> None:
    open_study(url, sampler)
    workers = [worker(url, 41) for _ in range(4 if url.startswith("sqlite") else 8)]
    handed = [int(number) for one in workers for number in one.communicate(timeout=120)[0].split()]
    assert all(one.returncode == 0 for one in workers)
    assert sorted(handed) == list(range(41))
    assert [record.state for record in open_study(url, sampler).records()] == ["complete"] * 41


@pytest.mark.slow
def test_trials_that_wait_are_claimed_once_each_by_two_processes(url: str) -> None:
    """A10: with SQLite's own transactions two processes both read "waiting" and both claim the same trial."""
    study = open_study(url)
    assert mirror.enqueue(study._study, [study._drawn(number) for number in range(200)], first=0)
    study.close()
    workers = [worker(url, 200, cohort=cohort) for cohort in (1, 3)]
    handed = [[int(number) for number in one.communicate(timeout=120)[0].split()] for one in workers]
    assert all(one.returncode == 0 for one in workers) and all(handed)
    assert sorted(number for numbers in handed for number in numbers) == list(range(200))
    records = open_study(url).records()
    assert [(record.state, record.trial.attempt) for record in records] == [("complete", 1)] * 200


def test_a_process_is_known_by_more_than_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A19: the start of a process in seconds since 1970 moves with the machine's clock."""
    here = Owner.here()
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: time.time() + 3600)
    assert Owner.here() == here and not here.is_dead_here()


@pytest.mark.parametrize("ask", ["retry", "retry_alone", "give_back"])
def test_a_trial_that_another_one_has_ended_meanwhile_is_let_go(url: str, ask: str) -> None:
    """A supervisor that was frozen for longer than its lease, and whose child died over that trial, ended with 70."""
    frozen, other = supervisor(url, seconds=0.1), supervisor(url, "other/2@2.0")
    number = frozen.ask().number
    time.sleep(0.2)
    assert other.reap() == (number,)
    assert other.ask().number == number
    other.tell(TrialResult(number, "complete", 0.5))
    if ask == "retry":
        assert frozen.retry(number)
    else:
        getattr(frozen, ask)([number])
    assert frozen.record(number).state == "complete" and frozen.record(number).trial.attempt == 2


def test_a_process_that_was_killed_on_this_machine_is_not_waited_for(url: str) -> None:
    study = supervisor(url)
    dying = worker(url, 9, cohort=2, dies=True)
    assert dying.stdout is not None
    claimed = tuple(int(number) for number in dying.stdout.readline().split())
    assert len(claimed) == 2 and study.reap() == ()
    os.kill(dying.pid, signal.SIGKILL)
    dying.wait()
    assert study.reap() == claimed
    assert study.ask().attempt == 2


def test_a_lease_that_is_not_renewed_ends(url: str) -> None:
    silent, alive = supervisor(url, seconds=0.3), supervisor(url, "other/2@2.0", seconds=60.0)
    theirs, ours = silent.ask(), alive.ask()
    assert alive.reap() == ()
    silent.renew()
    time.sleep(0.4)
    assert alive.reap() == (theirs.number,)
    assert silent.reap() == ()  # ours runs on
    assert alive.record(ours.number).state == "running"


def test_a_late_result_is_refused_once_another_supervisor_has_begun_the_next_attempt(url: str) -> None:
    late, quick = supervisor(url, seconds=0.0), supervisor(url, "other/2@2.0")
    lost = late.ask()
    time.sleep(0.01)
    assert quick.reap() == (lost.number,)
    assert quick.ask().number == lost.number
    late.tell(TrialResult(lost.number, "complete", 0.1))
    assert late.record(lost.number).state == quick.record(lost.number).state == "running"
    assert quick.judge([(lost.number, 2, 0.4)]) == frozenset()
    quick.tell(TrialResult(lost.number, "complete", 0.9))
    for study in (late, quick):
        assert (study.record(lost.number).value, study.record(lost.number).trial.attempt) == (0.9, 2)


@pytest.mark.parametrize("knows", [True, False])
def test_a_late_result_counts_while_the_trial_waits_for_its_next_attempt(url: str, knows: bool) -> None:
    late, other = supervisor(url, seconds=0.0), supervisor(url, "other/2@2.0")
    lost = late.ask()
    time.sleep(0.01)
    assert other.reap() == (lost.number,)
    if knows:
        late.renew()
    late.tell(TrialResult(lost.number, "complete", 0.1))
    assert other.records()[lost.number].value == 0.1 and other.remaining(1) == 0
    assert late.record(lost.number).trial.attempt == 2  # as what is told of it in MLflow must have it


@pytest.mark.parametrize("ask", ["reap", "records", "retry", "retry_alone", "ask_next"])
def test_a_supervisor_that_was_frozen_goes_on_though_its_trial_has_ended_elsewhere(url: str, ask: str) -> None:
    """Chaos, seed 2: values that waited to be written met the end of their trial, and the supervisor ended with 70."""
    frozen, quick = supervisor(url, seconds=0.0), supervisor(url, "other/2@2.0")
    lost = frozen.ask()
    time.sleep(0.01)
    assert quick.reap() == (lost.number,)
    quick.tell(TrialResult(quick.ask().number, "complete", 0.9))
    frozen.judge([(lost.number, 1, 0.4)])  # a patient write
    questions = {"retry": (lost.number,), "retry_alone": ([lost.number],), "ask_next": (1,)}
    getattr(frozen, ask)(*questions.get(ask, ()))
    assert frozen.record(lost.number).value == 0.9 and frozen.reap() == ()


def test_what_was_taken_from_a_silent_supervisor_is_not_its_own_to_give_back(url: str) -> None:
    silent, other = supervisor(url, seconds=0.0), supervisor(url, "other/2@2.0")
    lost = silent.ask()
    time.sleep(0.01)
    other.reap()
    again = other.ask()
    silent.give_back([lost.number])
    assert other.record(again.number).state == "running" and again.attempt == 2


def after(moment: str, deed: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> threading.Thread:
    """Begin `deed` in a thread once the leases were looked at for a `moment`; it may have to wait for who looked."""
    thread = threading.Thread(target=deed)
    look = getattr(leases, moment)

    def looking(*arguments: Any, **named: Any) -> Any:
        found = look(*arguments, **named)
        if not thread.ident and threading.current_thread() is threading.main_thread():
            thread.start()
            thread.join(0.5)
        return found

    monkeypatch.setattr(leases, moment, looking)
    return thread


def test_a_reaper_overwrites_no_ending_that_comes_while_it_reaps(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chaos, seed 1: a frozen database let both go on at once, and a trial that was complete waited again."""
    slow, other = supervisor(url, seconds=0.0), supervisor(url, "other/2@2.0")
    trial = slow.ask()
    time.sleep(0.01)
    stored: list[bool] = []
    result = TrialResult(trial.number, "complete", 0.1)
    thread = after("lost", lambda: stored.append(slow.tell(result)), monkeypatch)
    other.reap()
    thread.join()
    assert stored == [True]
    assert other.record(trial.number).value == 0.1 and other.remaining(1) == 0 and other.running() == 0


def test_an_ending_overwrites_no_attempt_that_begins_while_it_is_written(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = supervisor(url, seconds=0.0), supervisor(url, "other/2@2.0")
    trial = slow.ask()
    time.sleep(0.01)
    taken: list[int] = []

    def take() -> None:
        taken.extend(other.reap())
        taken.extend(trial.number for trial in other.ask_next(1).trials)

    thread = after("held", take, monkeypatch)
    assert slow.tell(TrialResult(trial.number, "complete", 0.1))
    thread.join()
    assert taken == [] and other.record(trial.number).value == 0.1


def test_a_trial_drawn_ahead_that_others_have_lost_has_its_second_attempt_here(url: str) -> None:
    """Chaos, seed 0: whoever drew it took it for new, and MLflow had two first attempts."""
    drawer, other = supervisor(url), supervisor(url, "other/2@2.0", seconds=0.0)

    def cohort(study: Study) -> Cohort:
        return study.ask_cohort(1, left=4, is_value=lambda name: True, budget=4)

    drawn = cohort(drawer)
    theirs = cohort(other)
    time.sleep(0.01)
    assert drawer.reap() == (theirs.trials[0].number,)
    again = cohort(drawer)
    assert drawn.trials[0].number == 0 and (again.trials[0].number, again.trials[0].attempt) == (1, 2)


def test_a_child_that_dies_over_what_was_taken_away_fails_no_trial(url: str) -> None:
    silent, other = supervisor(url, seconds=0.0), supervisor(url, "other/2@2.0")
    lost = silent.ask()
    time.sleep(0.01)
    assert other.reap() == (lost.number,)
    silent.renew()
    assert silent.retry(lost.number, 1) and other.record(lost.number).state == "waiting"


def test_what_is_given_back_is_no_loss(url: str) -> None:
    study = supervisor(url)
    for attempt in range(1, MAX_ATTEMPTS + 2):
        trial = study.ask()
        assert (trial.number, trial.attempt) == (0, attempt)
        study.give_back([0])
    assert study.reap() == ()


def test_the_last_trial_goes_to_one_of_two(url: str) -> None:
    one, other = supervisor(url), supervisor(url, "other/2@2.0")
    assert one.remaining(1) == other.remaining(1) == 1
    assert len(one.ask_next(1).trials) == 1
    assert other.ask_next(1).trials == ()
    assert other.remaining(1) == 0 and other.running() == 1


def test_leases_say_nothing_right_after_an_outage(tmp_path: Path) -> None:
    """While the database was away nobody could renew: the first one back must not take what the others work on."""
    url = url_of("sqlite", tmp_path)
    silent, back = supervisor(url, seconds=0.0), supervisor(url, "other/2@2.0", seconds=0.3)
    theirs = silent.ask()
    time.sleep(0.01)
    with pytest.raises(StorageInternalError), back._storage._answering():
        raise sqlalchemy.exc.OperationalError("", {}, Exception("away"))
    assert back.reap() == ()
    time.sleep(0.4)
    assert back.reap() == (theirs.number,)


def test_a_file_that_another_machine_works_on_is_refused(tmp_path: Path) -> None:  # B10
    url = url_of("sqlite", tmp_path)
    there = Owner("there:12345678:pid:[4026531836]", 1, 1.0)
    far = supervisor(url, there.name)
    trial = far.ask()
    with pytest.raises(StudyConflict, match="'there' works on this SQLite file") as refused:
        supervisor(url, Owner.here().name)
    assert "postgresql+psycopg://" in str(refused.value)
    container = Owner(f"another:{Owner.here().kernel}:pid:[4026532000]", 1, 1.0)
    far.give_back([trial.number])
    supervisor(url, container.name).ask()
    supervisor(url, Owner.here().name)


def test_names_of_owners_are_read_again() -> None:
    owner = Owner.here()
    assert Owner.of(owner.name) == owner and not owner.is_dead_here()
    assert Owner.of("nonsense") is None
    assert Owner(owner.machine, owner.process, owner.started - 100).is_dead_here()  # its number was given anew
    assert not Owner("elsewhere", owner.process, 0.0).is_dead_here()


class Trouble:
    """Spoils one commit of an engine: it is done and its answer lost, or it is not done."""

    def __init__(self, study: Study) -> None:
        self._storage = study._storage
        self._dialect = study._storage._backend.engine.dialect
        self._commit = self._dialect.do_commit
        self._left: int | None = None
        self._is_done = False
        self._dialect.do_commit = self._do

    def comes(self, commits: int, *, is_done: bool) -> None:
        """With the commit after so many others."""
        self._left, self._is_done = commits, is_done

    def sure(self, ask: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """As the supervisor's loop does."""
        for _ in range(3):
            try:
                return ask(*arguments, **named)
            except ServiceError:
                self._storage._failed = -math.inf  # or leases would say nothing for a while, by the true clock
        raise AssertionError("one spoiled commit cannot fail three times")

    def _do(self, connection: Any) -> None:
        is_it = self._left == 0
        self._left = None if self._left in (0, None) else self._left - 1
        if not is_it or self._is_done:
            self._commit(connection)
        if is_it:
            raise sqlite3.OperationalError("away")


class Supervisors(RuleBasedStateMachine):
    """Three supervisors ask, tell, fall silent and come back, lose answers of the database, in any order."""

    BUDGET = 6
    SECONDS = 10.0
    NAMES = st.sampled_from(["a/1@1.0", "b/2@2.0", "c/3@3.0"])

    folder: Callable[[], Path]

    @initialize()
    def begin(self) -> None:
        self.now = 1000.0
        self.url = f"sqlite:///{Supervisors.folder() / 'studies.db'}"
        open_study(self.url)
        self.studies: dict[str, Study] = {}
        self.trouble: dict[str, Trouble] = {}
        self.held: dict[str, dict[int, float]] = {}
        """What each supervisor believes to hold, and until when it may."""
        self.ended: dict[int, float] = {}
        leases.now = lambda connection: self.now  # type: ignore[assignment]

    def of(self, name: str) -> Study:
        if name not in self.studies:
            self.studies[name] = supervisor(self.url, name, self.SECONDS)
            self.trouble[name] = Trouble(self.studies[name])
            self.held[name] = {}
        return self.studies[name]

    @rule(name=NAMES, most=st.integers(1, 3))
    def ask(self, name: str, most: int) -> None:
        study = self.of(name)
        sure = self.trouble[name].sure
        left = sure(study.remaining, self.BUDGET)
        if left > 0:
            cohort = sure(study.ask_cohort, most, left=left, is_value=lambda _: True, budget=self.BUDGET)
            for trial in cohort.trials:
                assert trial.number < self.BUDGET and trial.number not in self.ended
                for other, held in self.held.items():
                    assert other == name or held.get(trial.number, 0.0) < self.now, "two hold one trial"
                self.held[name][trial.number] = self.now + self.SECONDS

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def tell(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, held in self.held.items() if held]))
        number = data.draw(st.sampled_from(sorted(self.held[name])))
        value = float(len(self.ended))
        self.trouble[name].sure(self.studies[name].tell, TrialResult(number, "complete", value))
        until = self.held[name].pop(number)
        if number not in self.ended and open_study(self.url).record(number).state == "running":
            assert until < self.now, "who holds a trial is heard"
        else:
            self.ended.setdefault(number, value)

    @rule(name=NAMES)
    def renew(self, name: str) -> None:
        study = self.of(name)
        self.trouble[name].sure(study.renew)
        for number, until in self.held[name].items():
            if until >= self.now:
                self.held[name][number] = self.now + self.SECONDS

    @rule(name=NAMES)
    def reap(self, name: str) -> None:
        study = self.of(name)
        self.trouble[name].sure(study.reap)

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, held in self.held.items() if held]))
        number = data.draw(st.sampled_from(sorted(self.held[name])))
        self.trouble[name].sure(self.studies[name].give_back, [number])
        del self.held[name][number]

    @rule(name=NAMES, commits=st.integers(0, 4), is_done=st.booleans())
    def lose_an_answer(self, name: str, commits: int, is_done: bool) -> None:
        self.of(name)
        self.trouble[name].comes(commits, is_done=is_done)

    @rule(name=NAMES)
    def die(self, name: str) -> None:
        self.studies.pop(name, None)
        self.held.pop(name, None)

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def ended_once(self) -> None:
        if self.ended:
            records = open_study(self.url).records()
            assert {r.trial.number: r.value for r in records if r.state == "complete"} == self.ended
            assert len(records) <= self.BUDGET

    def teardown(self) -> None:
        if not hasattr(self, "url"):
            return
        last = supervisor(self.url, "last/9@9.0", self.SECONDS)
        for _ in range(10 * self.BUDGET):
            self.now += 2 * self.SECONDS
            last.reap()
            left = last.remaining(self.BUDGET)
            if left <= 0:
                break
            cohort = last.ask_cohort(9, left=left, is_value=lambda _: True, budget=self.BUDGET)
            for trial in cohort.trials:
                last.tell(TrialResult(trial.number, "complete", 0.0))
        assert sorted(r.trial.number for r in last.records() if r.state != "waiting") == list(range(self.BUDGET))
        assert not last.running()


@pytest.mark.slow
def test_no_order_of_events_loses_or_doubles_a_trial(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    monkeypatch.setattr(leases, "now", leases.now)  # put back at the end
    Supervisors.folder = staticmethod(lambda: tmp_path_factory.mktemp("leases"))  # type: ignore[assignment]
    run_state_machine_as_test(
        Supervisors,
        settings=settings(max_examples=25, stateful_step_count=25, deadline=None, database=None, derandomize=True),
    )

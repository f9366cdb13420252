"""A database server that is frozen, slow, full or far: nothing hangs, is lost or is done twice (B3 to B7, B14)."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError

from searchlab.errors import ServiceError
from searchlab.records import TrialResult
from searchlab.search import mirror, postgres_client, storage
from searchlab.search.leases import LEASES
from searchlab.search.study import Study

sys.path.append(str(Path(__file__).parents[1]))

import postgres
from proxy import Proxy
from small_study import small_study

P = ParamSpec("P")
T = TypeVar("T")


def open_study(url: str, sampler: str = "random") -> Study:
    return small_study(url, sampler=sampler, owner="here/1@1.0")


def sure(ask: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What the supervisor does: ask until there is an answer."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return ask(*arguments, **named)
        except ServiceError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def course(study: Study, budget: int, most: int = 2) -> None:
    """Train `budget` trials; every third cohort is given back once."""
    asked = 0
    while (left := sure(study.remaining, budget)) > 0:
        trials = sure(study.ask_cohort, most, left=left, is_value=lambda _: True, budget=budget).trials
        numbers = [trial.number for trial in trials]
        asked += 1
        if asked % 3 == 0 and all(trial.attempt == 1 for trial in trials):
            sure(study.give_back, numbers)
            continue
        for number in numbers:
            sure(study.judge, [(number, 1, 0.5)])
            sure(study.tell, TrialResult(number, "complete", number / 10))


def check(url: str, budget: int) -> Study:
    """Each trial has one ending, with its own value, and nobody holds one."""
    study = open_study(url)
    records = study.records()
    assert [(r.trial.number, r.state, r.value) for r in records] == [(n, "complete", n / 10) for n in range(budget)]
    assert all(record.curve == {1: 0.5} for record in records)
    engine = study._storage._backend.engine
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.select(LEASES)).all() == []
    return study


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy(postgres.server().port)
    yield made
    postgres.close_connections()
    made.close()


@pytest.fixture
def url() -> str:
    return postgres.url_of("postgresql", Path())


def through(proxy: Proxy, url: str) -> str:
    return url.replace(f":{postgres.server().port}/", f":{proxy.port}/")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("CONNECTING", 2), ("SILENCE", 0.6), ("PING", 0.3)):
        monkeypatch.setattr(postgres_client, name, seconds)


def test_no_command_waits_longer_than_a_quarter_of_a_minute() -> None:
    assert postgres_client.PING + postgres_client.CONNECTING < 15
    assert postgres_client.SILENCE < 15 and postgres_client.ABANDONED > postgres_client.SILENCE


@pytest.mark.parametrize("first", range(1, 8))
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_lost_answer_to_a_commit_loses_and_doubles_nothing(  # B4
    proxy: Proxy, url: str, sampler: str, first: int
) -> None:
    open_study(url, sampler)
    study = open_study(through(proxy, url), sampler)
    proxy.commits = 0
    proxy.loses = lambda commit: commit % 7 == first % 7
    course(study, 7)
    proxy.loses = lambda commit: False
    assert proxy.commits > 20
    records = Study.open(url, "s").records()
    assert [(r.trial.number, r.state, r.value) for r in records] == [(n, "complete", n / 10) for n in range(7)]
    assert max(record.trial.attempt for record in records) <= 2


def test_a_claim_whose_answer_was_lost_is_known_at_the_next(proxy: Proxy, url: str) -> None:  # B4
    study = open_study(through(proxy, url))
    for lost in itertools.count(1):
        proxy.commits = 0
        proxy.loses = lambda commit, lost=lost: commit == lost
        try:
            trial = study.ask_next(100).trials[0]
        except ServiceError:
            (trial,) = study.ask_next(100).trials
        else:
            if proxy.commits < lost:
                break
        assert (trial.number, trial.attempt) == (lost - 1, 1)
        assert study.running() == lost
    assert lost > 3


def test_what_was_given_back_is_not_taken_from_its_next_holder(proxy: Proxy, url: str) -> None:  # B4
    study, other = open_study(through(proxy, url)), Study.open(url, "s")
    other.work_as("other/2@2.0")
    (trial,) = study.ask_next(9).trials
    proxy.commits = 0
    study.renew()
    renewing, proxy.commits = proxy.commits, 0
    proxy.loses = lambda commit: commit == renewing + 1
    with pytest.raises(ServiceError):
        study.give_back([trial.number])
    (again,) = other.ask_next(9).trials
    assert (again.number, again.attempt) == (trial.number, 2)
    study.give_back([trial.number])
    assert other.record(trial.number).state == "running"
    other.renew()
    assert mirror.is_ours(other._study, other._frozen(trial.number)._trial_id)


@pytest.mark.slow
def test_a_frozen_server_is_waited_for_and_hangs_nobody(impatient: None) -> None:  # B3
    server = postgres.another()
    try:
        url = server.database("frozen")
        study = open_study(url)
        (trial,) = study.ask_next(9).trials
        for _ in range(2):  # with connections that were in use before, and with none left
            server.freeze()
            begun = time.monotonic()
            with pytest.raises(ServiceError, match="does not answer"):
                study.judge([(trial.number, 1, 0.5)])
                study.tell(TrialResult(trial.number, "complete", 0.0))
            assert time.monotonic() - begun < 4
            with pytest.raises(ServiceError, match="cannot be opened"):
                Study.open(url, "s")
            assert time.monotonic() - begun < 8
            server.thaw()
        sure(study.tell, TrialResult(trial.number, "complete", 0.0))
        course(study, 5)
        server.freeze()
        thaw = threading.Timer(2.0, server.thaw)
        thaw.start()
        course(study, 9)
        thaw.join()
        study = Study.open(url, "s")
        assert [(r.trial.number, r.value) for r in study.records()] == [(n, n / 10) for n in range(9)]
    finally:
        server.thaw()
        postgres.close_connections()
        server.close()


def test_a_network_that_swallows_everything_ends_a_statement(impatient: None, proxy: Proxy, url: str) -> None:  # B3
    study = open_study(through(proxy, url))
    proxy.is_mute = True
    begun = time.monotonic()
    with pytest.raises(ServiceError):
        study.ask_next(9)
    assert time.monotonic() - begun < 4
    proxy.is_mute = False
    course(study, 4)
    check(url, 4)


def test_a_client_that_falls_silent_in_a_transaction_does_not_keep_the_others(  # B3, from the other side
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_client, "ABANDONED", 1)
    silent, other = open_study(url), open_study(url)
    with pytest.raises(StorageInternalError), silent._storage._begun() as connection:
        silent._storage._lock(connection)
        begun = time.monotonic()
        (trial,) = other.ask_next(9).trials
        assert 0.5 < time.monotonic() - begun < 5
        silent._storage._lock(connection)
    assert trial.number == 0


def test_latency_and_resets_cost_time_only(proxy: Proxy, url: str) -> None:  # B5
    study = open_study(through(proxy, url))
    dice = random.Random(5)
    proxy.delay, proxy.resets = 0.004, lambda: dice.random() < 0.03
    course(study, 8)
    proxy.resets = lambda: False
    check(url, 8)


def test_a_full_server_is_waited_for_and_the_setting_named(monkeypatch: pytest.MonkeyPatch) -> None:  # B6
    monkeypatch.setattr(storage, "ATTEMPTS", 1)
    server = postgres.another("max_connections=3", "superuser_reserved_connections=0")
    said: list[str] = []

    def opened(url: str) -> Study:
        try:
            return open_study(url)
        except ServiceError as error:
            said.append(str(error))
            raise

    def work(url: str) -> None:
        study = sure(opened, url)
        course(study, 24)
        study.close()

    try:
        url = server.database("full")
        open_study(url).close()
        workers = [threading.Thread(target=work, args=(url,)) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        records = Study.open(url, "s").records()
        assert [(r.trial.number, r.state) for r in records] == [(n, "complete") for n in range(24)]
    finally:
        postgres.close_connections()
        server.close()
    assert any("max_connections" in words for words in said)


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_transactions_that_collide_are_begun_again(url: str, state: str) -> None:  # B7
    study = open_study(url)
    collide = f"""
        CREATE SEQUENCE tries;
        CREATE FUNCTION collide() RETURNS trigger AS $$ BEGIN
            IF nextval('tries') % {mirror.TRIES} <> 0 THEN
                RAISE EXCEPTION 'collision' USING ERRCODE = '{state}';
            END IF;
            RETURN NEW;
        END $$ LANGUAGE plpgsql;
        CREATE TRIGGER collide BEFORE INSERT OR UPDATE ON trials FOR EACH ROW EXECUTE FUNCTION collide();
    """
    with study._storage._backend.engine.begin() as connection:
        connection.exec_driver_sql(collide.replace("%", "%%"))
    trial = study.ask()
    study.tell(TrialResult(trial.number, "complete", 0.0))
    assert [record.value for record in Study.open(url, "s").records()] == [0.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("tester", "locked:nonsense"), "authentication failed"),
        (("127.0.0.1", "nowhere.invalid"), "cannot be opened"),
        (("/test_", "/absent_"), "does not exist"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_line_without_the_password(  # B14
    url: str, change: tuple[str, str], words: str
) -> None:
    if change[0] == "tester" and not hasattr(postgres.server(), "has_locked"):
        postgres.server().with_password("locked", "the right one")
        postgres.server().has_locked = True  # type: ignore[attr-defined]
    begun = time.monotonic()
    with pytest.raises(ServiceError, match=words) as refused:
        Study.open(url.replace(*change), "s")
    assert time.monotonic() - begun < 15 and refused.value.exit_code == 4
    assert "\n" not in str(refused.value) and "nonsense" not in str(refused.value)


CLIENTS = """
import sys, threading
from searchlab.records import TrialResult
from searchlab.search.study import Study
url, name, clients, each, budget = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
told = []
def work(number):
    study = Study.open(url, "s")
    study.work_as(f"{name}/{number}@1.0")
    for _ in range(each):
        (trial,) = study.ask_next(budget).trials
        study.tell(TrialResult(trial.number, "complete", trial.number / 10))
        told.append(trial.number)
threads = [threading.Thread(target=work, args=(number,)) for number in range(1, clients + 1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*told)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("SEARCHLAB_FAULTS") != "all", reason="make faults runs it")
def test_a_hundred_clients_with_five_trials_each_are_five_hundred() -> None:
    server = postgres.another("max_connections=220")
    try:
        url = server.database("crowd")
        study = open_study(url)
        words = [sys.executable, "-c", CLIENTS, url]
        crowd = [
            subprocess.Popen([*words, f"p{n}", "25", "5", "500"], stdout=subprocess.PIPE, text=True, env=os.environ)
            for n in range(4)
        ]
        told = [int(number) for process in crowd for number in process.communicate(timeout=300)[0].split()]
        assert sorted(told) == list(range(500))
        assert [(r.trial.number, r.value) for r in study.records()] == [(n, n / 10) for n in range(500)]
        assert study.remaining(500) == 0 == study.running() and study.ask_next(500).trials == ()
    finally:
        postgres.close_connections()
        server.close()

"""Where studies live: SQLite opened for several processes, and clear words for everything else."""

from __future__ import annotations

import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from searchlab.errors import SearchlabError, ServiceError, SpecError
from searchlab.search.storage import exists, open_storage, parse, shown


def test_sqlite_is_written_ahead_and_waits_for_others(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/deep/er/studies.db")
    with storage._backend.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000


def test_a_transaction_begins_with_the_write_lock(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/studies.db")
    other = sqlite3.connect(tmp_path / "studies.db", timeout=0, isolation_level=None)
    with storage._backend.engine.connect() as connection:
        connection.exec_driver_sql("SELECT * FROM trials")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")


def test_two_claimers_of_one_trial_do_not_both_get_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    study = optuna.create_study(storage=open_storage(url), study_name="a")
    storages = [open_storage(url) for _ in range(3)]

    def claim(storage: optuna.storages.BaseStorage, trial_id: int) -> bool:
        start.wait()
        try:
            return bool(storage.set_trial_state_values(trial_id, TrialState.RUNNING))
        except optuna.exceptions.UpdateFinishedTrialError:
            return False

    start = threading.Barrier(3)
    with ThreadPoolExecutor(3) as pool:
        for _ in range(20):
            study.enqueue_trial({"x": 1})
            (trial,) = study.get_trials(states=(TrialState.WAITING,))
            claims = pool.map(claim, storages, [trial._trial_id] * 3)
            assert sorted(claims) == [False, False, True]


def test_many_at_once_may_be_the_first(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    failures: list[Exception] = []

    def first(start: threading.Barrier) -> None:
        start.wait()
        try:
            open_storage(url).get_all_studies()
        except SearchlabError as error:
            failures.append(error)

    start = threading.Barrier(6)
    threads = [threading.Thread(target=first, args=(start,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("name", ["a {b} c.db", "ü & 100%.db"])
def test_odd_file_names_are_taken_as_they_are(tmp_path: Path, name: str) -> None:
    open_storage(f"sqlite:///{tmp_path}/{name}")
    assert (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("studies.db", "no URL"),
        ("journal:///log", "journal"),
        ("redis://localhost", "journal"),
        ("mysql://root:secret@localhost/optuna", "no storage of kind 'mysql'"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite://", "in memory"),
        ("postgres:secret@host", "no URL"),
    ],
)
def test_other_kinds_are_refused_and_the_allowed_ones_named(url: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as refused:
        open_storage(url)
    assert "sqlite:///FILE" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_file_that_is_no_database_is_an_unusable_service(tmp_path: Path) -> None:
    (tmp_path / "studies.db").write_text("not a database at all" * 100)
    with pytest.raises(ServiceError, match="not a database"):
        open_storage(f"sqlite:///{tmp_path}/studies.db")


def test_a_folder_in_place_of_the_file_is_an_unusable_service(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="unable to open"):
        open_storage(f"sqlite:///{tmp_path}")


def test_a_database_of_another_optuna_is_an_unusable_service(tmp_path: Path) -> None:  # B12
    url = f"sqlite:///{tmp_path}/studies.db"
    open_storage(url)
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    with pytest.raises(ServiceError, match="cannot be used") as refused:
        open_storage(url)
    assert f"optuna storage upgrade --storage 'sqlite:///{tmp_path}/studies.db'" in str(refused.value)
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with pytest.raises(ServiceError, match="newer than") as refused:
        open_storage(url)
    assert "pip install -U" in str(refused.value)


def test_the_password_is_never_shown() -> None:
    place = parse("postgresql://user:secret@host/db")
    assert place.drivername == "postgresql+psycopg"
    assert "secret" not in shown(place)


def test_looking_makes_nothing(tmp_path: Path) -> None:
    assert exists(f"sqlite:///{tmp_path}/studies.db") is False
    assert list(tmp_path.iterdir()) == []


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_optuna_speaks_through_our_log_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    monkeypatch.setattr(logging.getLogger(), "handlers", [heard])  # not caplog: it listens to Optuna's logger too
    monkeypatch.setattr(logging.getLogger("searchlab"), "level", logging.DEBUG)
    optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path}/studies.db"), study_name="a")
    assert {record.name for record in heard.records} == {"searchlab.search.storage"}
    assert any("A new study" in record.getMessage() for record in heard.records)
    assert all(record.levelno <= logging.INFO for record in heard.records)

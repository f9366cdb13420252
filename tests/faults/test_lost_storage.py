"""Storages that go back to an older copy, and studies and trials that somebody deletes (faults.md, B15 and B16)."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import optuna
import postgres
import pytest
import sqlalchemy
from fault_lab import LEASE, NAME, Lab
from study_check import check_attempts, check_study

from searchlab.search import leases, mirror
from searchlab.search.storage import open_storage


def copied(file: Path) -> bytes:
    """The content of a SQLite storage that nobody works on."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return file.read_bytes()


def put_back(file: Path, content: bytes) -> None:
    for part in file.parent.glob(f"{file.name}-*"):
        part.unlink()
    file.write_bytes(content)


TPE = "search.sampler=tpe"
"""It draws trials one after another; those of `random` are there from the start, and wait."""


def interrupted(lab: Lab, trials: int, *changes: str) -> None:
    """Run the study until so many trials have ended, and stop."""
    lab.script(seconds=0.1)
    leader = lab.lead("search.trials=6", *changes)
    lab.until(lambda: sum(record.state == "complete" for record in lab.records()) >= trials)
    leader.send(signal.SIGTERM)
    assert leader.wait(20) == 75
    lab.script()


def check_nothing_trained_twice(lab: Lab) -> None:
    check_attempts(lab, repeated=0)
    assert len(set(lab.trained())) == len(lab.trained())


def test_B15_an_older_copy_of_the_storage_is_noticed_and_told_what_it_lacks(lab: Lab) -> None:
    """B15: trials that had ended were trained once more, or their results told to other trials of their numbers."""
    interrupted(lab, 1, TPE)
    file = lab.home / "optuna.db"
    older = copied(file)
    assert lab.resume().wait() == 0
    put_back(file, older)
    refused = lab.resume()
    assert refused.wait() == 5
    assert "the storage lacks trials of 'noop' that it has had" in refused.errors
    assert f"searchlab restore {NAME}" in refused.errors and "results.jsonl keeps" in refused.errors
    restored = lab.start("restore", NAME)
    assert restored.wait() == 0 and "told to the storage again" in restored.said
    assert lab.resume().wait() == 0
    check_study(lab, 6, statuses=(0, 5, 75))
    check_nothing_trained_twice(lab)


def test_B15_an_older_copy_that_has_the_trials_is_told_with_no_more_ado(lab: Lab) -> None:
    """B15: independent draws wait in the storage from the start; nothing is trained twice for a copy that is older."""
    interrupted(lab, 1)
    file = lab.home / "optuna.db"
    older = copied(file)
    assert lab.resume().wait() == 0
    put_back(file, older)
    again = lab.resume()
    assert again.wait() == 0 and "results that the storage had not got were told to it again" in again.errors
    check_study(lab, 6, statuses=(0, 75))
    check_nothing_trained_twice(lab)


def test_B15_a_study_whose_file_was_deleted_is_made_again_without_a_copy(lab: Lab) -> None:
    """B15: the oldest copy that there can be."""
    interrupted(lab, 2)
    for part in lab.home.glob("optuna.db*"):
        part.unlink()
    refused = lab.resume()
    assert refused.wait() == 5 and "is no more in the storage" in refused.errors
    assert not (lab.home / "optuna.db").exists()
    assert lab.start("restore", NAME).wait() == 0
    assert lab.resume().wait() == 0
    check_study(lab, 6, statuses=(0, 5, 75))


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    """A server of this test's own."""
    own = postgres.another()
    yield own
    own.close()


def on_server(server: postgres.Server, *statements: str) -> None:
    engine = sqlalchemy.create_engine(server.address("postgres").replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))
    engine.dispose()


def test_B15_a_storage_that_goes_back_while_a_run_works_on_it_ends_the_run(
    server: postgres.Server, tmp_path: Path
) -> None:
    """B15: as when the address leads to a standby that has stayed behind."""
    lab = Lab(tmp_path, storage=server.database("studies"))
    try:
        interrupted(lab, 1, TPE)
        postgres.close_connections()
        on_server(server, "CREATE DATABASE standby TEMPLATE studies")
        lab.script(seconds=0.4)
        leader = lab.resume()
        lab.until(lambda: sum(record.state == "complete" for record in lab.records()) >= 3)
        postgres.close_connections()
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'studies'"
        on_server(
            server,
            "ALTER DATABASE studies ALLOW_CONNECTIONS false",
            end,
            "ALTER DATABASE studies RENAME TO gone",
            "ALTER DATABASE standby RENAME TO studies",
        )
        assert leader.wait(30) == 5
        assert "the storage has lost trials of this study that it had" in leader.errors
        lab.script()
        assert lab.resume().wait() == 5
        assert lab.start("restore", NAME, "--storage", lab.url).wait() == 0
        assert lab.resume().wait() == 0
        check_study(lab, 6, statuses=(0, 5, 75))
        check_attempts(lab, repeated=1)
    finally:
        lab.close()
        postgres.close_connections()


@pytest.mark.parametrize("command", ["run", "resume", "worker", "status"])
def test_B16_a_deleted_study_is_not_begun_anew_and_is_made_again_from_its_folder(lab: Lab, command: str) -> None:
    """B16: `run` silently began it anew, to `resume` it was unknown; its results lay in a file that nothing read."""
    interrupted(lab, 2)
    optuna.delete_study(study_name=NAME, storage=open_storage(lab.url))
    words = ("run", "s.yaml", "--plain", "--set", "search.trials=6") if command == "run" else (command, NAME)
    refused = lab.start(*words)
    assert refused.wait() == 5
    assert "is no more in the storage" in refused.errors and f"searchlab restore {NAME}" in refused.errors
    assert lab.study() is None
    restored = lab.start("restore", NAME)
    assert restored.wait() == 0 and "results were told to the storage again" in restored.said
    assert lab.resume().wait() == 0
    check_study(lab, 6, statuses=(0, 5, 75))
    check_attempts(lab, repeated=1)  # what was under way is in no file of results


def test_B16_a_study_that_is_deleted_while_it_runs_ends_the_run_and_keeps_its_results(lab: Lab) -> None:
    """B16: within a lease."""
    lab.script(seconds=0.2)
    leader = lab.lead("search.trials=6")
    lab.until(lambda: any(record.state == "complete" for record in lab.records()))
    optuna.delete_study(study_name=NAME, storage=open_storage(lab.url))
    assert leader.wait(2 * LEASE + 5) == 4
    assert "the study was deleted from the storage while it was in use" in leader.errors
    lab.script()
    assert lab.start("restore", NAME).wait() == 0
    assert lab.resume().wait() == 0
    check_study(lab, 6)
    check_attempts(lab)


def delete_trial(lab: Lab, number: int) -> None:
    """With all that is stored of it."""
    engine = open_storage(lab.url)._backend.engine  # type: ignore[attr-defined]
    with engine.begin() as connection:
        trial_id = connection.scalar(
            sqlalchemy.select(leases.TRIALS.c.trial_id).where(leases.TRIALS.c.number == number)
        )
        for table in (*mirror.KEYS, leases.TRIALS):
            connection.execute(table.delete().where(table.c.trial_id == trial_id))


@pytest.mark.parametrize("number", [0, 1])
def test_B16_a_trial_that_is_deleted_while_the_study_runs_ends_the_run(lab: Lab, number: int) -> None:
    """B16: a trial that has ended, and the one that is trained; numbers are not given twice."""
    lab.script(seconds=0.3)
    leader = lab.lead("search.trials=6", TPE)
    lab.until(lambda: (1, 1, 1) in lab.trained())
    delete_trial(lab, number)
    assert leader.wait(2 * LEASE + 5) == 5
    assert "the storage has lost trials of this study that it had" in leader.errors
    lab.script()
    if number == 0:
        refused = lab.start("restore", NAME)
        assert refused.wait() == 5 and "Delete the whole study from the storage" in refused.errors
        optuna.delete_study(study_name=NAME, storage=open_storage(lab.url))
    assert lab.start("restore", NAME).wait() == 0
    assert lab.resume().wait() == 0
    check_study(lab, 6, statuses=(0, 5))
    check_attempts(lab)


@pytest.mark.parametrize("place", ["restore.named", "restore.made", "restore.planted", "reap.done"])
def test_B16_A22_a_restore_that_is_killed_is_done_by_the_next_one(lab: Lab, place: str) -> None:
    """A22: repeatable to completion."""
    interrupted(lab, 2)
    optuna.delete_study(study_name=NAME, storage=open_storage(lab.url))
    assert lab.start("restore", NAME, fail=place).wait() == -9
    assert lab.start("restore", NAME).wait() == 0
    assert lab.resume().wait() == 0
    check_study(lab, 6, statuses=(0, 75, -9))


def test_B16_a_study_begun_anew_under_the_name_is_left_alone(lab: Lab) -> None:
    """B16: neither are results of the one before told to it, nor is that one put in its place."""
    interrupted(lab, 2)
    folder = lab.home / "studies" / NAME
    noted = (folder / "study.json").read_text()
    optuna.delete_study(study_name=NAME, storage=open_storage(lab.url))
    (folder / "study.json").unlink()
    lab.script(_0="kill@3")
    assert lab.lead("search.trials=4", "seed=6", fail="trial.retried").wait() == -9
    assert lab.resume().wait() == 0
    check_study(lab, 4, statuses=(0, 75, -9))
    (folder / "study.json").write_text(noted)
    refused = lab.start("restore", NAME)
    assert refused.wait() == 5 and "another study named 'noop' is stored" in refused.errors

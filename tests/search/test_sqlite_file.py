"""What befalls a SQLite file: it is held, deleted, replaced, damaged, full, or on a network file system (B8 to B11)."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from searchlab.errors import ServiceError, SpecError, StorageLost
from searchlab.records import TrialResult
from searchlab.search import sqlite_file
from searchlab.search.storage import open_storage
from searchlab.search.study import Study

sys.path.append(str(Path(__file__).parents[1]))

from small_study import small_study

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "studies.db"


def open_study(file: Path) -> Study:
    return small_study(f"sqlite:///{file}", owner="here/1@1.0")


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "lustre"])
def test_network_file_systems_are_refused_with_the_way_out(  # B10
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    parts = [("/", "ext4"), (str(tmp_path / "far"), kind), (str(tmp_path / "far" / "near"), "xfs")]
    mounted = [SimpleNamespace(mountpoint=place, fstype=found) for place, found in parts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounted)
    with pytest.raises(SpecError, match=kind) as refused:
        open_storage(f"sqlite:///{tmp_path}/far/deep/studies.db")
    assert "storage: postgresql+psycopg://" in str(refused.value) and "--home" in str(refused.value)
    assert not (tmp_path / "far").exists()
    open_storage(f"sqlite:///{tmp_path}/far/near/studies.db")
    open_storage(f"sqlite:///{tmp_path}/farther/studies.db")


def test_the_latest_of_two_file_systems_at_one_place_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = [SimpleNamespace(mountpoint="/", fstype=kind) for kind in ("autofs", "nfs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounted)
    assert sqlite_file.file_system(Path("/x")) == "nfs"


def test_who_holds_the_file_is_waited_for_and_then_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # B8
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT", 0.3)
    study = open_study(file)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None and holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(ServiceError, match=rf"locked by process {holder.pid}"):
            study.ask()
        holder.stdin.write("\n")
    assert study.ask().number == 0


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def spoiled(file: Path) -> None:
    file.write_bytes(os.urandom(file.stat().st_size))


def deleted(file: Path) -> None:
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()


def replaced(file: Path) -> None:
    shutil.copy(file, file.with_suffix(".copy"))
    deleted(file)
    file.with_suffix(".copy").rename(file)


@pytest.mark.parametrize("harm", [emptied, spoiled, deleted, replaced])
def test_a_file_that_is_harmed_in_use_ends_the_work_and_is_not_made_anew(  # B9
    file: Path, harm: Callable[[Path], None]
) -> None:
    study = open_study(file)
    trial = study.ask()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    harm(file)
    before = file.read_bytes() if file.exists() else None
    for _ in range(2):
        with pytest.raises(StorageLost, match=r"results\.jsonl"):
            study.tell(TrialResult(trial.number, "complete", 0.5))
    with pytest.raises(StorageLost):
        study.ask()
    assert (file.read_bytes() if file.exists() else None) == before


def test_a_file_that_was_emptied_is_not_filled_again(file: Path) -> None:  # B9
    open_study(file).close()
    deleted(file)
    file.touch()
    os.utime(file, (time.time() - 60, time.time() - 60))
    with pytest.raises(StorageLost, match="empty"):
        open_study(file)
    assert file.stat().st_size == 0


def test_a_file_that_cannot_be_written_is_asked_again(file: Path) -> None:  # B9: someone may mend it
    study = open_study(file)
    study.close()
    with study._storage._backend.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = 1")
        connection.rollback()
    with pytest.raises(ServiceError, match="readonly") as refused:
        study.ask()
    assert not isinstance(refused.value, StorageLost)
    study.close()
    assert study.ask().number == 0


def test_a_full_disk_is_waited_for(file: Path) -> None:  # B11
    study = open_study(file)
    with study._storage._backend.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        connection.rollback()
    told = 0
    with pytest.raises(ServiceError, match="full") as refused:
        for told in range(1000):  # noqa: B007
            trial = study.ask()
            study.tell(TrialResult(trial.number, "complete", float(trial.number), reason="x" * 500))
    assert not isinstance(refused.value, StorageLost) and told > 0
    study.close()  # there is space again
    study.reap()
    while study.remaining(told + 3):
        (trial,) = study.ask_next(told + 3).trials
        study.tell(TrialResult(trial.number, "complete", float(trial.number)))
    finished = [(r.trial.number, r.value) for r in Study.open(study.url, "s").records() if r.state == "complete"]
    assert finished == [(n, float(n)) for n in range(len(finished))] and len(finished) >= told + 2

"""Disks that are full, read-only or gone, and what lies on them (faults.md, A22, D2, D7 and D8)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_lab import NAME, Lab
from study_check import check_study

from searchlab.runner.spool import RESERVE, SIZE, Spool

KIB = 1 << 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a disk of its own, with options such as "size=1m": a folder that all processes here can reach."""
    holders: list[subprocess.Popen[str]] = []

    def make(options: str) -> Path:
        place = tmp_path / "disk"
        place.mkdir()
        words = f"mount -t tmpfs -o {options} none '{place}' && echo ready && read end"
        try:
            holder = subprocess.Popen(
                ["unshare", "-Urm", "sh", "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        except FileNotFoundError:
            pytest.skip("there is no unshare")
        holders.append(holder)
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            pytest.skip("no disks can be made here")
        return Path(f"/proc/{holder.pid}/root{place}")

    yield make
    for holder in holders:
        holder.communicate("end\n", timeout=10)


def fill(folder: Path) -> Path:
    """Leave no byte."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (64 * KIB, KIB, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return path


@pytest.mark.parametrize("deed", ["", "chatter@2"])
def test_D2_a_full_disk_costs_no_result_and_no_trial(tmp_path: Path, disk: Callable[[str], Path], deed: str) -> None:
    """D2: results take the room that was reserved; neither a log nor a checkpoint that finds none ends a trial."""
    home = disk("size=6m")
    lab = Lab(tmp_path, storage=f"sqlite:///{tmp_path / 'elsewhere.db'}", home=home)
    try:
        lab.script(seconds=0.2, every=deed)
        leader = lab.lead("search.trials=5")
        lab.until(lambda: (0, 1, 1) in lab.trained())
        filler = fill(home)
        assert leader.wait() == 4
        folder = home / "studies" / NAME
        assert "results take the room that was reserved for them" in leader.errors
        assert "No space left on device. make space" in leader.errors
        assert [kept.result.trial for kept in Spool(folder).kept()] == list(range(5))
        assert (folder / RESERVE).read_bytes().strip(b"\n")
        assert [record.state for record in lab.records()] == ["complete"] * 5
        filler.unlink()
        resumed = lab.resume()
        assert resumed.wait() == 0
        assert (folder / RESERVE).read_bytes() == b"\n" * SIZE
        assert [kept.result.trial for kept in Spool(folder).kept()] == list(range(5))
        check_study(lab, 5, statuses=(0, 4), led=False)  # the weights found no room
    finally:
        lab.close()


def test_D7_a_folder_that_cannot_be_written_is_named_with_the_way_out(lab: Lab) -> None:
    """D7: read-only from the start; no half of a study is left."""
    lab.home.mkdir()
    mounts = f"mount --bind {lab.home} {lab.home} && mount -o remount,ro,bind {lab.home}"
    under = ("unshare", "-Urm", "sh", "-c", f'{mounts} && exec "$@"', "sh")
    leader = lab.lead(under=under)
    status = leader.wait()
    if "unshare" in leader.errors or "mount" in leader.errors:
        pytest.skip("nothing can be mounted here")
    assert status == 4 and "Read-only file system. searchlab needs a folder that it may write to" in leader.errors
    assert list(lab.home.iterdir()) == []
    assert lab.lead().wait() == 0
    check_study(lab, 4, statuses=(0, 4))


def test_D7_a_file_in_the_place_of_the_folder_is_named(lab: Lab) -> None:
    """D7."""
    lab.home.write_text("something of somebody's")
    leader = lab.lead()
    assert leader.wait() == 4
    assert ": File exists. a file is where a folder has to be" in leader.errors
    assert lab.home.read_text() == "something of somebody's"


@pytest.mark.parametrize("count", [8, 16, 24])
def test_D7_a_disk_without_inodes_is_said_and_the_study_goes_on_when_there_are_some(
    tmp_path: Path, disk: Callable[[str], Path], count: int
) -> None:
    """D7: wherever they end."""
    home = disk(f"size=64m,nr_inodes={count + 20}")
    others = [home / f"other-{number}" for number in range(20)]
    for path in others:
        path.touch()
    lab = Lab(tmp_path, storage=f"sqlite:///{tmp_path / 'elsewhere.db'}", home=home)
    try:
        leader = lab.lead()
        assert leader.wait() == 4
        assert "No space left on device" in leader.errors and "df -i" in leader.errors
        for path in others:
            path.unlink()
        assert lab.lead().wait() == 0
        check_study(lab, 4, statuses=(0, 4), led=False)
    finally:
        lab.close()


def test_D7_few_open_files_are_enough(lab: Lab) -> None:
    """D7: nothing is left open for each trial."""
    leader = lab.lead("search.trials=12", under=("prlimit", "--nofile=64"))
    assert leader.wait() == 0
    check_study(lab, 12)


def test_D7_a_folder_that_is_removed_in_a_run_ends_it_with_the_reason(lab: Lab) -> None:
    """D7: with the storage in it."""
    lab.script(seconds=0.2)
    leader = lab.lead()
    lab.until(lambda: (0, 1, 1) in lab.trained())
    shutil.rmtree(lab.home, ignore_errors=True)
    assert leader.wait() == 4
    assert "was deleted or replaced while it was in use" in leader.errors


def test_D7_a_folder_that_is_removed_beside_the_storage_costs_no_result(tmp_path: Path) -> None:
    """D7: a process that has to be replaced finds no data, and the study pauses; what had ended is stored."""
    lab = Lab(tmp_path, storage=f"sqlite:///{tmp_path / 'elsewhere.db'}")
    try:
        lab.script(seconds=0.2, _1="segfault@2")
        leader = lab.lead()
        lab.until(lambda: (0, 1, 2) in lab.trained())
        shutil.rmtree(lab.home, ignore_errors=True)
        assert leader.wait() == 7
        assert "training processes died one after another" in leader.errors
        assert "run the study from its YAML file again" in leader.errors
        lab.script()
        assert lab.lead().wait() == 0
        check_study(lab, 4, statuses=(0, 7), led=False)
    finally:
        lab.close()


@pytest.mark.parametrize("name", ["a b", "ünï", "雪", "x" * 250, "../x", "a/b", "a\nb", "%s", "{x}", ""])
def test_D8_names_that_are_no_names_everywhere_are_refused_with_what_is_allowed(lab: Lab, name: str) -> None:
    """D8: they become folders, rows and parts of URLs."""
    refused = lab.lead(f"study={json.dumps(name)}")
    assert refused.wait() == 2 and "1 to 100 letters, digits" in refused.errors
    assert not lab.home.exists()


def test_D8_the_longest_name_works(lab: Lab) -> None:
    """D8: files beside it are named after it."""
    name = "n" * 100
    leader = lab.lead(f"study={name}")
    assert leader.wait() == 0 and lab.start("export", name, "--trial", "9").wait() in (5, 7)
    assert (lab.home / "studies" / name / "champion.keras").exists()


def test_D8_two_studies_share_a_folder_at_the_same_time(lab: Lab) -> None:
    """D8: and each has its own trials."""
    lab.script(seconds=0.05)
    one, other = lab.lead(), lab.lead("study=other", "seed=6")
    assert one.wait() == 0 and other.wait() == 0
    check_study(lab, 4)
    status = lab.start("status")
    assert status.wait() == 0 and status.said.count("4/4") == 2


def test_D8_a_folder_may_have_any_name(tmp_path: Path) -> None:
    """D8: in a URL "%20" was read as a blank and "?" as its end: the storage lay in another folder."""
    folder = tmp_path / "Ä ß 雪 %20 {x} #1 ?q"
    folder.mkdir()
    lab = Lab(folder)
    try:
        assert lab.lead().wait() == 0
        assert (lab.home / "optuna.db").exists() and [path.name for path in tmp_path.iterdir()] == [folder.name]
        check_study(lab, 4)
    finally:
        lab.close()


@pytest.mark.parametrize("passing", [1, 2, 3])
def test_A22_a_sweep_that_is_killed_is_ended_by_the_next(lab: Lab, passing: int) -> None:
    """A22: gc is what removes; there is no command that deletes or cancels a study, and stopping one is A14."""
    assert lab.lead().wait() == 0
    folder = lab.home / "studies" / NAME
    needless = [folder / "checkpoints" / f"trial-000{number}.ckpt" for number in range(3)]
    for path in needless:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * KIB)
    assert lab.start("gc", fail=f"gc.removed@{passing}").wait() == -9
    assert sum(path.exists() for path in needless) == 3 - passing
    assert lab.start("gc").wait() == 0
    left = lab.start("gc", "--dry-run")
    assert left.wait() == 0 and "0 B could be freed" in left.said
    check_study(lab, 4)

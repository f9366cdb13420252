"""A storage that stops answering in the middle of a study: a real PostgreSQL, children by script."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from searchlab import atomic
from searchlab.errors import ServiceError, StorageLost, StudyConflict
from searchlab.executors import Death, Message
from searchlab.records import Trial, TrialResult
from searchlab.runner import supervisor as loop
from searchlab.runner.spool import FILE, Spool
from searchlab.runner.supervisor import Limits, Supervisor
from searchlab.runner.watch import Nobody
from searchlab.search.study import Study
from searchlab.space import Params

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import postgres
from small_study import small_study
from test_supervisor import OBJECTIVE, ScriptedPool, good

BUDGET = 24


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    """A server of this test's own, which it may stop."""
    own = postgres.another()
    yield own
    own.close()


def study_at(url: str, pruner: str = "successive_halving") -> Study:
    return small_study(url, metric="val_accuracy", pruner=pruner, owner="here/1@1.0")


def slowly(trial: Trial, slot: int) -> list[Message | Death]:
    time.sleep(0.05)
    return list(good(trial, slot))


def supervised(study: Study, folder: Path, **changes: object) -> Supervisor:
    return Supervisor(
        study=study,
        pool=ScriptedPool(slowly),
        objective=OBJECTIVE,
        limits=Limits(BUDGET),
        prunes=True,
        listeners=(),
        watcher=Nobody(),
        spool=Spool(folder),
        is_value=lambda name: True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["successive_halving", "none"])
def test_nothing_is_lost_when_the_server_is_restarted(
    tmp_path: Path, server: postgres.Server, caplog: pytest.LogCaptureFixture, pruner: str
) -> None:
    url = server.database("outage")

    def fall_and_rise() -> None:
        for _ in range(2):
            time.sleep(0.3)
            server.stop()
            time.sleep(1.0)
            server.start()

    trouble = threading.Thread(target=fall_and_rise)
    with caplog.at_level(logging.WARNING):
        supervisor = supervised(study_at(url, pruner), tmp_path)
        trouble.start()
        assert supervisor.run() == "done"
        trouble.join()
    assert "does not answer" in caplog.text and "trying again" in caplog.text
    records = Study.open(url, "s").records()
    assert [record.trial.number for record in records] == list(range(BUDGET))
    for record in records:
        assert record.state == "complete" and record.value == pytest.approx(0.5 + record.trial.number / 100)
        assert record.curve == {1: pytest.approx(0.5 + record.trial.number / 100)}


def test_a_result_is_on_the_disk_before_the_storage_has_it_and_is_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor is asked to stop while the storage is away; the next one finds the result."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    study = study_at(url, "none")
    supervisor = supervised(study, tmp_path)

    def away(result: TrialResult) -> None:
        supervisor._request_stop()
        raise ServiceError("the storage does not answer")

    monkeypatch.setattr(study, "tell", away)
    with pytest.raises(ServiceError):
        supervisor.run()
    again = study_at(url, "none")
    assert again.records()[0].state == "running"
    assert Spool(tmp_path).tell(again) == (0,)
    (record,) = again.records()
    assert (record.state, record.value) == ("complete", 0.5)
    assert Spool(tmp_path).tell(again) == ()


def test_a_storage_that_is_gone_ends_the_run_and_its_results_stay(tmp_path: Path) -> None:  # B9
    url = f"sqlite:///{tmp_path / 'studies.db'}"

    def gone(trial: Trial, slot: int) -> list[Message | Death]:
        if trial.number == 3:
            for part in tmp_path.glob("studies.db*"):
                part.unlink()
        return list(good(trial, slot))

    supervisor = supervised(study_at(url, "none"), tmp_path)
    supervisor.pool = ScriptedPool(gone)
    with pytest.raises(StorageLost, match=r"results\.jsonl"):
        supervisor.run()
    kept = [entry.result.trial for entry in Spool(tmp_path).kept()]
    assert kept[:3] == [0, 1, 2] and not (tmp_path / "studies.db").exists()


def test_a_result_that_cannot_be_written_down_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:  # D2
    def full(handle: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        Spool(tmp_path).put(TrialResult(0, "complete", 0.5))
    assert "No space left" in caplog.text


def test_a_spoiled_line_costs_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path)
    assert list(spool.kept()) == []
    spool.put(TrialResult(3, "complete", 0.25, metrics={"val_loss": float("nan")}))
    with (tmp_path / FILE).open("a") as file:
        file.write('{"trial": 4, "result": {"tri')  # killed in the middle of a line
    spool.put(TrialResult(5, "failed", None, reason="why"))
    assert [(kept.result.trial, kept.result.state) for kept in spool.kept()] == [(3, "complete"), (5, "failed")]
    assert "line 3 of" in caplog.text or "cannot be read" in caplog.text


def running_trial(url: str) -> tuple[Study, Trial]:
    study = study_at(url, "none")
    return study, study.ask()


def test_results_of_an_earlier_study_of_the_name_are_not_told_to_the_next(tmp_path: Path) -> None:
    """B15: its trials bear the same numbers."""
    study, trial = running_trial(f"sqlite:///{tmp_path / 'studies.db'}")
    Spool(tmp_path, "the one before").put(TrialResult(trial.number, "complete", 0.9), {}, trial)
    Spool(tmp_path, "the one before").put(TrialResult(7, "complete", 0.9), {}, trial)
    assert Spool(tmp_path, "this one").tell(study) == ()
    assert study.record(trial.number).state == "running"


def test_a_result_of_other_parameters_is_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """B15: after an older copy was put back, a number may be drawn once more and differently."""
    study, trial = running_trial(f"sqlite:///{tmp_path / 'studies.db'}")
    other = replace(trial, params=Params({**trial.params.values, "optimizer.sgd.momentum": 0.123}))
    spool = Spool(tmp_path)
    spool.put(TrialResult(trial.number, "complete", 0.9), {1: 0.9}, other)
    assert spool.tell(study) == () and "with other parameters than the stored ones" in caplog.text
    spool.put(TrialResult(trial.number, "complete", 0.5), {1: 0.5}, trial)
    assert spool.tell(study) == (trial.number,)
    assert (study.record(trial.number).value, study.record(trial.number).curve) == (0.5, {1: 0.5})


def test_a_storage_without_trials_that_ended_here_is_told_nothing(tmp_path: Path) -> None:
    """B15: nor is it changed."""
    study, trial = running_trial(f"sqlite:///{tmp_path / 'studies.db'}")
    spool = Spool(tmp_path)
    for number in range(trial.number, 9):
        spool.put(TrialResult(number, "complete", 0.5), {}, replace(trial, number=number))
    with pytest.raises(
        StudyConflict, match=r"lacks trials of 's' .*\(1, 2, 3, 4, 5, … 8 in all\).*searchlab restore s"
    ):
        spool.tell(study)
    assert [record.state for record in study.records()] == ["running"]


def test_the_pauses_grow_and_end_when_someone_asks_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = supervised(study_at(f"sqlite:///{tmp_path / 'studies.db'}", "none"), tmp_path)
    now, asked = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def fail() -> None:
        asked.append(now[0])
        if len(asked) == 8:
            supervisor._request_stop()
        raise ServiceError("away")

    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(loop.time, "sleep", sleep)
    with pytest.raises(ServiceError):
        supervisor._sure(fail)
    gaps = [round(late - early) for early, late in itertools.pairwise(asked)]
    assert gaps == [0, 1, 2, 5, 10, 10, 10]


def test_results_find_room_on_a_full_disk_and_their_place_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """D2: whatever else takes the last room; when the reserve is full too, the storage is told all the same."""
    spool, results = (
        Spool(tmp_path),
        [TrialResult(number, "complete", 0.5, summary="x" * 5000) for number in range(150)],
    )
    spool.reserve()
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "append", full)
        for result in results:
            spool.put(result)
    assert [entry.result for entry in spool.kept()] == results[: len(list(spool.kept()))] and len(
        list(spool.kept())
    ) > 90
    assert "does not take the result of trial 149" in caplog.text
    before = list(spool.kept())
    for _ in range(2):
        spool.reserve()
        assert list(spool.kept()) == before
    spool.put(results[-1])
    assert [entry.result for entry in spool.kept()] == [*(entry.result for entry in before), results[-1]]


def full(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_takes_the_beginning_of_a_result_has_not_taken_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D2: the last bytes of a disk take half a line, and the system reports no error."""
    spool, write = Spool(tmp_path), os.write
    spool.reserve()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, content: write(handle, content[:40]))
        spool.put(TrialResult(0, "complete", 0.5))
    spool.put(TrialResult(1, "complete", 0.5))
    assert sorted(entry.result.trial for entry in spool.kept()) == [0, 1]

"""Against a real `mlflow server` on a loopback port; one is started for the whole file."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from searchlab.tracking import TRACKERS

sys.path.append(str(Path(__file__).parents[1]))

from proxy import Proxy

MLFLOW = TRACKERS.get("mlflow")
pytestmark = pytest.mark.slow


def test_a_study_arrives_through_the_server(server, study, tmp_path):
    assert MLFLOW.check(server.uri, home=tmp_path) is None
    session = MLFLOW.open(server.uri, experiment="served", home=tmp_path)
    study.tell(session)
    session.study_finished(study.result, {"figures/a.html": "<p>"})
    url = session.view_url(60)
    delivery = session.close(60)
    assert delivery.is_complete, str(delivery)
    assert url is not None
    assert url.startswith(f"{server.uri}/#/experiments/")
    parent, *trials = MLFLOW.runs(server.uri, experiment="served", home=tmp_path, study_uid=study.start.uid)
    assert parent.status == "FINISHED"
    assert [run.status for run in trials] == ["FINISHED", "KILLED", "FAILED", "FINISHED"]
    assert not (tmp_path / "artifacts").exists()  # files went through the server


def test_a_server_that_goes_and_comes_back_misses_nothing(server, study, tmp_path):
    session = MLFLOW.open(server.uri, experiment="back", home=tmp_path)
    study.tell(session, until=2)
    assert session.flush(60)
    server.kill()
    study.tell(session)  # says again what is known, and the rest
    session.study_finished(study.result)
    assert not session.flush(30)
    server.start()
    server.wait()
    deadline = time.monotonic() + 60
    while not session.flush(5) and time.monotonic() < deadline:
        pass
    assert session.close(60).is_complete
    parent, *trials = MLFLOW.runs(server.uri, experiment="back", home=tmp_path, study_uid=study.start.uid)
    assert parent.status == "FINISHED"
    assert [run.status for run in trials] == ["FINISHED", "KILLED", "FAILED", "FINISHED"]
    assert [step for step, _ in trials[0].metrics["val_loss"]] == [1, 2, 3]


def test_a_frozen_server_does_not_hold_up_the_end(server, study, tmp_path):
    session = MLFLOW.open(server.uri, experiment="frozen", home=tmp_path)
    session.study_started(study.start)
    assert session.flush(60)
    server.freeze()
    try:
        began = time.perf_counter()
        study.tell(session)
        assert time.perf_counter() - began < 1.0
        delivery = session.close(2)
        assert time.perf_counter() - began < 10
    finally:
        server.thaw()
    assert delivery.undelivered > 0
    assert list((tmp_path / "outbox" / study.start.uid).glob("*.jsonl"))


def test_c5_a_run_whose_making_was_answered_to_nobody_is_made_once(server, study, tmp_path):
    proxy = Proxy(server.port, request=lambda piece: b"/runs/create " in piece)
    proxy.loses = lambda number: number in (1, 3)
    try:
        session = MLFLOW.open(f"http://127.0.0.1:{proxy.port}", experiment="lost answers", home=tmp_path)
        study.tell(session)
        session.study_finished(study.result)
        deadline = time.monotonic() + 60
        while not session.flush(5):
            assert time.monotonic() < deadline
        assert session.close(30).is_complete
    finally:
        proxy.close()
    assert proxy.commits > 4  # some were asked for twice
    runs = MLFLOW.runs(server.uri, experiment="lost answers", home=tmp_path, study_uid=study.start.uid)
    assert [run.status for run in runs] == ["FINISHED", "FINISHED", "KILLED", "FAILED", "FINISHED"]

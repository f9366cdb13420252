import logging
import time
from pathlib import Path

import numpy as np

from searchlab.tracking import TRACKERS
from searchlab.tracking.mlflow import writer
from searchlab.tracking.mlflow.journal import Journal
from searchlab.tracking.mlflow.steps import Step, from_line
from searchlab.tracking.mlflow.writer import Writer

MLFLOW = TRACKERS.get("mlflow")
NOBODY = "http://user:secret@127.0.0.1:9"


class Scripted:
    """A store that fails, refuses or takes, as it is told: to inject faults that a real one shows seldom."""

    def __init__(self, script):
        self.script = list(script)
        self.taken = []

    def write(self, steps, done=None):
        answer = self.script.pop(0) if self.script else "take"
        if isinstance(answer, Exception):
            raise answer
        if answer == "refuse":
            return [(step, "no") for step in steps if step.kind != "session"]
        self.taken += [step for step in steps if step.kind != "session"]
        return []


def a_writer(folder, store):
    header = Step("session", "study", 0.0, {"id": "s", "leads": True})
    return Writer(lambda: store, lambda: Journal.begin(folder, header))


def step(number):
    return Step("tags", "run", float(number), {"values": {"n": str(number)}})


def test_a_dead_server_never_holds_anyone_up(study, tmp_path, caplog):
    session = MLFLOW.open(NOBODY, experiment="small", home=tmp_path)
    began = time.perf_counter()
    with caplog.at_level(logging.WARNING):
        study.tell(session)
        session.study_finished(study.result, {"figures/a.png": b"\x89PNG"})
        assert time.perf_counter() - began < 1.0
        assert session.view_url(20) is None
        session.log_model(Path("none.keras"), inputs=np.zeros((1, 2)), outputs=np.zeros((1, 2)))
        delivery = session.close(20)
    assert delivery.delivered == 0
    assert delivery.undelivered > 20
    assert "not delivered" in str(delivery)
    assert "secret" not in str(delivery) + caplog.text
    reached = [record for record in caplog.records if "out of reach; training" in record.message]
    assert len(reached) == 1  # once in five minutes, not once a call


def test_a_store_that_comes_back_gets_everything_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "FIRST_PAUSE", 0.01)
    store = Scripted([OSError("gone"), OSError("gone"), "take"])
    line = a_writer(tmp_path, store)
    for number in range(50):
        line.put([step(number)])
    delivery = line.close(10)
    if not delivery.is_complete:  # closed while the store was still gone
        assert delivery.undelivered == 51
    line = a_writer(tmp_path, store)
    store.script = [OSError("gone"), "take"]
    line.put([step(number) for number in range(50)])
    deadline = time.monotonic() + 10
    while not line.flush(1) and time.monotonic() < deadline:
        pass
    assert line.close(10).is_complete
    assert [one.at for one in store.taken[-50:]] == [float(number) for number in range(50)]


def test_refused_steps_are_counted_kept_and_do_not_stop_the_others(tmp_path):
    store = Scripted(["refuse", "take"])
    line = a_writer(tmp_path, store)
    line.put([step(1)])
    assert line.flush(10)
    line.put([step(2)])
    assert line.flush(10)
    delivery = line.close(10)
    assert (delivery.delivered, delivery.refused, delivery.undelivered, delivery.reason) == (1, 1, 0, "no")
    (refused,) = tmp_path.glob("*.refused")
    assert from_line(refused.read_bytes()).at == 1.0 and refused.stat().st_mode & 0o077 == 0


def test_flush_returns_when_the_store_fails_and_not_only_at_the_end_of_its_time(tmp_path):
    line = a_writer(tmp_path, Scripted([OSError("gone")] * 99))
    line.put([step(1)])
    began = time.perf_counter()
    assert not line.flush(30)
    assert time.perf_counter() - began < 10
    line.close(5)


def test_a_store_that_never_answers_does_not_delay_the_end(tmp_path):
    import threading

    release = threading.Event()

    class Frozen:
        def write(self, steps, done=None):
            release.wait(60)
            return []

    line = a_writer(tmp_path, Frozen())
    line.put([step(1)])
    began = time.perf_counter()
    delivery = line.close(0.3)
    assert time.perf_counter() - began < 5
    assert delivery.undelivered == 2  # with the head of the journal
    release.set()


def test_metrics_of_running_trials_go_together(tmp_path):
    calls = []

    class Counting(Scripted):
        def write(self, steps, done=None):
            calls.append(sum(step.kind == "metrics" for step in steps))
            return super().write(steps, done)

    store = Counting([])
    line = a_writer(tmp_path, store)
    for number in range(40):
        line.put([Step("metrics", "run", 1.0, {"step": number, "values": {"loss": 1.0}})])
        time.sleep(0.005)  # epochs of a real training come one by one
    assert line.flush(10)
    assert sum(calls) == 40
    assert len(calls) <= 5
    line.close(5)

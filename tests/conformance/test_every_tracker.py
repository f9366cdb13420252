"""What holds for every tracker, those not written yet included."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import pytest

from searchlab.records import Epoch, Objective, StudyResult, TestScore, Trial, TrialRecord, TrialResult
from searchlab.space import Params
from searchlab.tracking import TRACKERS, DataFacts, Delivery, Session, StudyStart

START = StudyStart(
    name="conformance",
    uid="00000000-0000-4000-8000-000000000042",
    objective=Objective("val_loss", "minimize"),
    budget=2,
    seed=0,
    data=DataFacts("digits", "0123456789abcdef", counts={"train": 8, "validation": 4}),
    varied=("model.units",),
)
TRIALS = tuple(Trial(n, Params({"model": "mlp", "model.mlp.units": 2**n}), seed=n) for n in range(2))
EPOCHS = tuple(Epoch(n, e, {"loss": 2.0 / e, "val_loss": (n + 1) / e}, 0.1) for n in range(2) for e in (1, 2))
RECORDS = tuple(
    TrialRecord(
        trial,
        "complete",
        (trial.number + 1) / 2,
        TrialResult(trial.number, "complete", (trial.number + 1) / 2, 2, 2, 0.2, {"val_loss": (trial.number + 1) / 2}),
        {1: trial.number + 1.0, 2: (trial.number + 1) / 2},
        started=1e9,
        finished=1e9 + 1,
    )
    for trial in TRIALS
)
RESULT = StudyResult("conformance", START.objective, RECORDS, 2, 0, 4)
SCORE = TestScore(0, {"loss": 0.6}, {"loss": (0.5, 0.7)}, "bootstrap", 4, 1)


def tell(session: Session) -> None:
    session.study_started(START)
    assert session.left_behind() == ()
    for trial, record in zip(TRIALS, RECORDS, strict=True):
        session.trial_started(trial)
        for epoch in EPOCHS:
            if epoch.trial == trial.number:
                session.epoch(epoch)
        session.trial_finished(record)
    session.study_finished(RESULT, {"figures/one.html": "<p>one</p>"})
    session.test_scored(SCORE)


@pytest.mark.parametrize("name", TRACKERS.names())
class TestEveryTracker:
    def test_what_was_written_can_be_read_back_and_a_replay_writes_nothing_twice(self, name, tmp_path):
        tracker = TRACKERS.get(name)
        stored = []
        for _ in range(2):
            session = tracker.open(None, experiment="e", home=tmp_path)
            tell(session)
            delivery = session.close(120)
            assert delivery.is_complete, str(delivery)
            assert session.close(1) == delivery  # closing twice is harmless
            stored.append(tracker.runs(None, experiment="e", home=tmp_path, study_uid=START.uid))
        if not tracker.keeps:
            assert stored == [(), ()]
            return
        study, *trials = stored[0]
        assert len(trials) == 2
        assert study.metrics["test_loss"] == [(1, 0.6)]
        for trial, run in zip(TRIALS, trials, strict=True):
            assert run.params["model.units"] == str(2**trial.number)
            assert run.metrics["val_loss"] == [(1, trial.number + 1.0), (2, (trial.number + 1) / 2)]
            assert run.status == "FINISHED"
        assert [(run.uid, run.status, run.params, run.metrics) for run in stored[1]] == [
            (run.uid, run.status, run.params, run.metrics) for run in stored[0]
        ]

    def test_an_unfinished_study_and_strange_numbers_are_no_trouble(self, name, tmp_path):
        session = TRACKERS.get(name).open(None, experiment="e", home=tmp_path)
        session.study_started(replace(START, name="späße 🎈\n<b>", description="| * `"))
        session.trial_started(TRIALS[0])
        session.epoch(Epoch(0, 1, {"loss": math.nan, "val_loss": math.inf}, 0.1))
        session.trial_lost(0, 1)
        session.trial_lost(7, 1)  # never begun here
        session.flush(120)
        assert session.close(60).is_complete

    def test_the_embedded_store_can_be_reached(self, name, tmp_path):
        assert TRACKERS.get(name).check(None, home=tmp_path) is None


def test_the_nouns_travel_between_processes():
    for noun in (START, Delivery(1, 2, 3, "outbox.jsonl", "gone")):
        assert pickle.loads(pickle.dumps(noun)) == noun
    assert str(Delivery(5)) == "5 records delivered"
    assert str(Delivery(5, 2, 1, "o.jsonl", "gone")).startswith("3 records not delivered")

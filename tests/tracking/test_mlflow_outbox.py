"""What was handed in is delivered some time, once, whatever happens meanwhile.  Faults C1, C6, C7, C12, C14, D2."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from searchlab.runner.legacy import tell_left_behind
from searchlab.tracking import TRACKERS
from searchlab.tracking.mlflow import journal as journals
from searchlab.tracking.mlflow.journal import Journal, Story, steps_of
from searchlab.tracking.mlflow.outbox import FOLDER, Outbox
from searchlab.tracking.mlflow.steps import Step, from_line, run_uid, to_line
from searchlab.tracking.mlflow.store import Store

MLFLOW = TRACKERS.get("mlflow")
NOBODY = "http://127.0.0.1:9"
HEADER = Step("session", "study", 0.0, {"id": "s", "leads": True})


def step(number):
    return Step("tags", "run", float(number), {"values": {"n": str(number)}})


def files(home):
    return {path.name.partition(".")[2] for path in (home / FOLDER).rglob("*") if path.is_file()}


def killed(session):
    """What a session leaves whose process is killed: its thread is gone, and the lock on its journal."""
    writer = session._writer
    writer._connect = None
    with writer._changed:
        writer._is_closed = writer._is_closing = writer._is_urgent = True
        for journal in writer._journals:
            os.close(journal._handle)
            journal._handle = None


def sync(study, home, uri=None):
    """What `searchlab sync` does of it."""
    session = MLFLOW.open(uri, experiment="small", home=home)
    session.study_started(replace(study.start, is_led_elsewhere=True))
    tell_left_behind(session, lambda: study.records)
    session.flush(60)
    return session.close(10)


def runs(study, home):
    return MLFLOW.runs(None, experiment="small", home=home, study_uid=study.start.uid)


@pytest.fixture
def undelivered(study, home):
    """A home with a whole study in its outbox."""
    session = MLFLOW.open(NOBODY, experiment="small", home=home)
    study.tell(session)
    session.study_finished(study.result)
    assert not session.close(5).is_complete
    return home


def test_c1_c6_a_later_session_delivers_everything(undelivered, study):
    assert files(undelivered) == {"jsonl"}
    delivery = sync(study, undelivered)
    assert delivery.is_complete and delivery.delivered > 20
    parent, *trials = runs(study, undelivered)
    assert parent.status == "FINISHED"
    assert [run.status for run in trials] == ["FINISHED", "KILLED", "FAILED", "FINISHED"]
    assert files(undelivered) == {"jsonl.gz"}
    assert sync(study, undelivered, NOBODY).delivered == 0  # nobody is asked where nothing is left


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_c7_a_delivery_that_is_killed_before_it_has_noted_what_it_sent_doubles_nothing(undelivered, study, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "sent", lambda self, *rest: sys.exit())  # which ends a thread without a word
        session = MLFLOW.open(None, experiment="small", home=undelivered)
        session.study_started(replace(study.start, is_led_elsewhere=True))
        session._writer._thread.join(60)
        session.close(0.1)
    sent = runs(study, undelivered)
    assert len(sent) == 5
    assert sync(study, undelivered).is_complete
    assert runs(study, undelivered) == sent


def test_a_store_still_out_of_reach_loses_nothing(undelivered, study):
    first = sync(study, undelivered, NOBODY)
    assert first.delivered == 0 and first.undelivered > 20
    assert sync(study, undelivered).is_complete
    assert len(runs(study, undelivered)) == 5


def test_c6_c12_what_a_killed_leader_had_not_delivered_arrives_and_its_runs_end(study, home):
    session = MLFLOW.open(NOBODY, experiment="small", home=home)
    study.tell(session, until=2)
    session.trial_started(study.trials[2])
    session.trial_started(study.trials[3])
    for epoch in study.epochs(3):
        session.epoch(epoch)
    killed(session)
    records, study.records = study.records, study.records[:2]  # trial 2 and 3 have not ended
    assert sync(study, home).is_complete
    parent, *trials = runs(study, home)
    assert parent.status == "KILLED" and parent.tags["searchlab.state"] == "interrupted"
    assert [run.status for run in trials] == ["FINISHED", "KILLED", "FAILED", "FAILED"]
    assert [run.tags["searchlab.state"] for run in trials[2:]] == ["lost", "lost"]
    assert [point for point, _ in trials[3].metrics["val_loss"]] == [1, 2, 3]
    study.records = records


def test_a_result_that_was_stored_before_the_leader_could_hand_it_in_is_no_loss(study, home):
    session = MLFLOW.open(None, experiment="small", home=home)
    study.tell(session, until=3)
    session.trial_started(study.trials[3])
    for epoch in study.epochs(3):
        session.epoch(epoch)
    assert session.flush(30)
    killed(session)
    assert sync(study, home).is_complete
    assert [run.status for run in runs(study, home)[1:]] == ["FINISHED", "KILLED", "FAILED", "FINISHED"]


def test_the_leader_of_now_is_not_ended_by_what_one_before_has_left(study, home, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    first = MLFLOW.open(f"sqlite:///{home / 'mlflow.db'}", experiment="small", home=elsewhere)
    study.tell(first, until=1)
    assert first.flush(30)
    killed(first)
    second = MLFLOW.open(None, experiment="small", home=home)
    study.tell(second, until=2)
    assert second.flush(30)
    late = MLFLOW.open(f"sqlite:///{home / 'mlflow.db'}", experiment="small", home=elsewhere)
    late.study_started(replace(study.start, is_led_elsewhere=True))
    assert late.flush(30) and late.close(10).is_complete
    assert runs(study, home)[0].status == "RUNNING"
    second.close(10)
    assert runs(study, home)[0].status == "KILLED"


def test_a_helper_leaves_the_studys_run_to_its_leader_for_a_minute(study, home, monkeypatch):
    helper = MLFLOW.open(None, experiment="small", home=home)
    helper.study_started(replace(study.start, is_led_elsewhere=True))
    helper.trial_started(study.trials[1])
    helper.trial_finished(study.records[1])
    assert not helper.flush(5)
    assert runs(study, home) == ()
    leader = MLFLOW.open(None, experiment="small", home=home)
    leader.study_started(study.start)
    assert leader.flush(30) and helper.flush(30)
    assert [run.tags["searchlab.kind"] for run in runs(study, home)] == ["study", "trial"]
    leader.close(10)
    helper.close(10)
    monkeypatch.setattr("searchlab.tracking.mlflow.store.AWAITED", 0.0)
    alone = MLFLOW.open(None, experiment="small", home=home / "other")
    other = replace(study.start, uid="4f1d2c3b-0000-4000-8000-000000000009", is_led_elsewhere=True)
    alone.study_started(other)
    alone.trial_started(study.trials[1])
    assert alone.flush(30)
    alone.close(10)


def test_of_two_runs_made_for_one_study_in_one_instant_the_first_is_used(study, home, monkeypatch):
    stores = [Store(f"sqlite:///{home / 'mlflow.db'}", experiment="small", home=home) for _ in range(2)]
    for second, store in enumerate(stores, start=1):
        tags = {"searchlab.study_uid": study.start.uid}
        begin = Step("begin", run_uid(study.start.uid), second, {"name": "small", "tags": tags, "parent": None})
        with monkeypatch.context() as patch:  # the second one looked before the first one wrote
            patch.setattr(store, "run_id", lambda uid: None)
            assert store.write([begin]) == []
    assert len(runs(study, home)) == 1
    assert stores[0]._ids == stores[1]._ids


class TestAJournal:
    def test_what_lies_in_it_comes_out_in_order_and_once(self, tmp_path: Path, monkeypatch):
        monkeypatch.setattr(journals, "BATCH", 3)
        journal = Journal.begin(tmp_path, HEADER)
        journal.append([step(number) for number in range(5)])
        assert journal.waiting == 6
        assert Journal.claim(journal.path) is None
        first = journal.batch()
        assert [one.at for one in first.steps] == [0.0, 0.0, 1.0]
        journal.sent(first)
        journal.close()
        again = Journal.claim(journal.path)
        assert again is not None and again.waiting == 3
        again.sent(again.batch())
        again.close()
        assert [one and one.at for one in steps_of(tmp_path / f"{journal.path.name}.gz")] == [0, 0, 1, 2, 3, 4]
        assert not journal.path.exists() and not journal.path.with_suffix(".sent").exists()

    def test_c14_spoiled_lines_are_put_aside_and_the_rest_is_sent(self, tmp_path: Path):
        journal = Journal.begin(tmp_path, HEADER)
        journal.append([step(number) for number in range(3)])
        journal.close()
        lines = journal.path.read_bytes().splitlines(keepends=True)
        flipped = lines[2].replace(b'"1"', b'"7"')  # one digit, still JSON
        journal.path.write_bytes(lines[0] + lines[1] + flipped + b"\x00\n" + lines[3] + lines[1][:30])
        found = Journal.claim(journal.path)
        assert found is not None
        batch = found.batch()
        assert [one.at for one in batch.steps] == [0.0, 0.0, 2.0]
        assert batch.spoiled == [flipped, b"\x00\n"]  # what a kill has cut off was never handed in
        found.sent(batch, [batch.steps[2]])
        found.close()
        refused = journal.path.with_suffix(".refused")
        assert refused.read_bytes() == flipped + b"\x00\n" + lines[3] and refused.stat().st_mode & 0o077 == 0

    def test_d2_what_the_disk_has_no_room_for_waits_in_memory_and_for_room(self, tmp_path: Path, monkeypatch, caplog):
        journal = Journal.begin(tmp_path, HEADER)
        journal.append([step(0)])
        write = os.write

        def half(handle, content):
            if len(content) < 20:
                raise OSError(errno.ENOSPC, "no space")
            return write(handle, content[: len(content) // 2])

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            journal.append([step(1), step(2)])
            assert "wait in memory" in caplog.text and journal.waiting == 4
            journal.sent(journal.batch())
            assert [one.at for one in journal.batch().steps] == [
                1.0,
                2.0,
            ]  # a store within reach gets them all the same
        journal.append([step(3)])
        assert [one.at for one in journal.batch().steps] == [1.0, 2.0, 3.0]
        journal.close()
        assert [one and one.at for one in steps_of(journal.path)] == [0, 0, 1, 2, 3]

    def test_without_a_disk_it_is_in_memory_alone(self, tmp_path: Path, caplog):
        (tmp_path / "file").write_text("")
        journal = Journal.begin(tmp_path / "file", HEADER)
        journal.append([step(1)])
        assert "only in memory" in caplog.text
        batch = journal.batch()
        assert [one.at for one in batch.steps] == [1.0]
        journal.sent(batch)
        assert journal.waiting == 0
        journal.close()

    def test_what_only_memory_held_is_said_to_be_lost_with_it(self, study, tmp_path: Path):
        (tmp_path / FOLDER).write_text("a file where the folder has to be")
        session = MLFLOW.open(NOBODY, experiment="small", home=tmp_path)
        study.tell(session)
        delivery = session.close(5)
        assert delivery.unkept == delivery.undelivered > 20
        assert f"the disk did not take {delivery.unkept}" in str(delivery)

    def test_a_kill_at_any_place_leaves_whole_lines(self, tmp_path: Path):
        program = (
            "import os, sys, pathlib\n"
            "from searchlab.tracking.mlflow.journal import Journal\n"
            "from searchlab.tracking.mlflow.steps import Step\n"
            "journal = Journal.begin(pathlib.Path(sys.argv[1]), Step('session', 's', 0.0, {}))\n"
            "for number in range(100):\n"
            "    journal.append([Step('tags', 'r', float(number), {'values': {'n': 'x' * 5000}})] * 3)\n"
            "    if number == 70: os.kill(os.getpid(), 9)\n"
        )
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=60)
        assert done.returncode == -9
        (path,) = tmp_path.iterdir()
        with path.open("ab") as file:
            file.write(to_line(step(1))[:-4])
        found = Journal.claim(path)
        assert found is not None and found.waiting == 1 + 71 * 3
        found.append([step(2)])
        assert list(found.steps())[-1] == step(2)
        found.close()

    def test_lines_are_checked_and_carry_everything(self):
        one = Step("metrics", "r", 1.25, {"step": 3, "values": {"späß": 0.1, "b": 1e300}})
        assert from_line(to_line(one)) == one
        with pytest.raises(ValueError):
            from_line(to_line(one).replace(b"0.1", b"0.2"))


def test_a_story_knows_what_was_left_open():
    def begin(number, attempt, parent="study"):
        tags = {"searchlab.trial": str(number), "searchlab.attempt": str(attempt)}
        return Step("begin", f"{number}/{attempt}", 0.0, {"tags": tags, "parent": parent})

    def header(session, leads=True):
        return Step("session", "study", 0.0, {"id": session, "leads": leads})

    own = Step("begin", "study", 0.0, {"tags": {}, "parent": None})
    over = Step("end", "study", 0.0, {"status": "FINISHED"})
    story = Story()
    story.hear([header("a"), own, begin(0, 1), begin(1, 1), Step("end", "0/1", 0.0)])
    story.hear([header("b", leads=False), own, begin(2, 1), Step("end", "1/1", 0.0)])
    story.hear([header("c"), own, over])
    story.hear([header("d"), own, over, Step("resume", "study", 0.0)])
    assert story.left() == ((2, 1),)
    assert story.led == {"a", "d"}
    story.hear([header("e"), Step("end", "2/1", 0.0, {"only_running": True})])  # may have found no run to end
    assert story.left() == ((2, 1),)


def test_an_outbox_reads_packed_and_open_journals_in_order(tmp_path: Path):
    outbox = Outbox(tmp_path, "uid")
    for number in range(3):
        journal = outbox.begin(HEADER)
        journal.append([step(number)])
        if number < 2:
            journal.sent(journal.batch())
        journal.close()
    assert [one and one.at for one in outbox.steps()] == [0, 0, 0, 1, 0, 2]
    assert len(outbox.left()) == 1


def test_what_a_killed_leader_left_does_not_bring_back_a_study_that_the_next_one_has_ended(study, home):
    """Chaos, seed 7: a worker held the journal of the first leader until the second had finished."""
    first = MLFLOW.open(NOBODY, experiment="small", home=home)
    study.tell(first, until=2)
    killed(first)
    held = Outbox(home, study.start.uid).left()
    second = MLFLOW.open(None, experiment="small", home=home)
    study.tell(second)
    second.study_finished(study.result)
    assert second.close(60).is_complete
    for journal in held:
        journal.close()
    assert sync(study, home).is_complete
    parent, *trials = runs(study, home)
    assert parent.status == "FINISHED"
    assert [run.status for run in trials] == ["FINISHED", "KILLED", "FAILED", "FINISHED"]

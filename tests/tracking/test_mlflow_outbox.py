"""What could not be delivered is delivered later, once, whatever happens meanwhile.  Faults C1, C6, C7, C14."""

from pathlib import Path

import pytest

from searchlab.tracking import TRACKERS
from searchlab.tracking.mlflow.outbox import FILE, Outbox
from searchlab.tracking.mlflow.steps import Step
from searchlab.tracking.mlflow.store import Store

MLFLOW = TRACKERS.get("mlflow")
NOBODY = "http://127.0.0.1:9"


def step(number):
    return Step("tags", "run", float(number), {"values": {"n": str(number)}})


class Taking:
    """A store that takes so many batches, and is out of reach then."""

    def __init__(self, batches=99, refuse=()):
        self.batches, self.refuse, self.taken = batches, refuse, []

    def write(self, steps):
        if self.batches == 0:
            raise OSError("gone")
        self.batches -= 1
        self.taken += steps
        return [(one, "no") for one in steps if one.at in self.refuse]


@pytest.fixture
def undelivered(study, home):
    """A home with a whole study in its outbox."""
    session = MLFLOW.open(NOBODY, experiment="small", home=home)
    study.tell(session)
    session.study_finished(study.result)
    assert not session.close(5).is_complete
    return home


def test_c1_c6_a_later_sync_delivers_everything(undelivered, study):
    delivery = MLFLOW.sync(None, experiment="small", home=undelivered)
    assert delivery.is_complete and delivery.delivered > 20
    parent, *trials = MLFLOW.runs(None, experiment="small", home=undelivered, study_uid=study.start.uid)
    assert parent.status == "FINISHED"
    assert [run.status for run in trials] == ["FINISHED", "KILLED", "FAILED", "FINISHED"]
    assert MLFLOW.sync(None, experiment="small", home=undelivered).delivered == 0
    assert not any((undelivered / f"outbox.{end}").exists() for end in ("jsonl", "sending", "refused"))


def test_c7_a_sync_that_is_killed_before_it_has_noted_what_it_sent_doubles_nothing(undelivered, study, monkeypatch):
    class Killed(BaseException):
        pass

    write = Store.write

    def written_and_killed(self, steps):
        write(self, steps)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", written_and_killed)
        with pytest.raises(Killed):
            MLFLOW.sync(None, experiment="small", home=undelivered)
    runs = MLFLOW.runs(None, experiment="small", home=undelivered, study_uid=study.start.uid)
    assert MLFLOW.sync(None, experiment="small", home=undelivered).is_complete
    assert MLFLOW.runs(None, experiment="small", home=undelivered, study_uid=study.start.uid) == runs


def test_a_store_still_out_of_reach_loses_nothing(undelivered):
    first = MLFLOW.sync(NOBODY, experiment="small", home=undelivered)
    assert first.delivered == 0 and first.undelivered > 20
    assert MLFLOW.sync(None, experiment="small", home=undelivered).delivered == first.undelivered


def test_what_was_taken_is_not_sent_again_and_others_stay(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("searchlab.tracking.mlflow.outbox.BATCH", 2)
    outbox = Outbox(tmp_path / FILE)
    outbox.add([step(number) for number in range(5)], "mine")
    outbox.add([step(7)], "other")
    store = Taking(batches=1)
    delivery = outbox.deliver(lambda: store, "mine")
    assert (delivery.delivered, delivery.undelivered, delivery.reason) == (2, 3, "gone")
    outbox.add([step(5)], "mine")
    store = Taking(refuse=(3.0,))
    delivery = outbox.deliver(lambda: store, "mine")
    assert [one.at for one in store.taken] == [2.0, 3.0, 4.0, 5.0]
    assert (delivery.delivered, delivery.refused) == (3, 1) and str(delivery.kept_in).endswith("outbox.refused")
    assert outbox.deliver(lambda: store, "other").delivered == 1


def test_c14_spoiled_lines_are_put_aside_and_the_rest_is_sent(tmp_path: Path):
    outbox = Outbox(tmp_path / FILE)
    outbox.add([step(number) for number in range(3)], "mine")
    lines = (tmp_path / FILE).read_text().splitlines()
    (tmp_path / FILE).write_text(f"{lines[0]}\n{lines[1][:30]}\n\x00\n{lines[2]}")
    store = Taking()
    delivery = outbox.deliver(lambda: store, "mine")
    assert [one.at for one in store.taken] == [0.0, 2.0]
    assert delivery.refused == 2 and (tmp_path / "outbox.refused").stat().st_mode & 0o077 == 0

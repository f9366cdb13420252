"""The protocol of the final test: one opening, written down first, and a ledger that shows every touch."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from searchlab.data import Collection, Examples
from searchlab.data.prepare import prepare
from searchlab.data.seal import SealedTest
from searchlab.errors import DataError, SealBroken

CANDIDATE = {"study": "digits", "trial": 7, "candidate_digest": "abc"}

PROGRAM = """
import os, signal, sys
from searchlab.data import ledger, seal
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
sealed, ledger_path, where, candidate = sys.argv[1:]
if where == "before the witness": ledger.write_json = die
if where == "before the rows": seal.read_examples = die
one = seal.SealedTest(sealed, ledger_path)
one.open(study="digits", trial=7, candidate_digest=candidate)
if where == "before the score": die()
print("opened")
"""


@pytest.fixture
def sealed(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)  # asking git about a large checkout takes its time
    x = np.arange(60.0).reshape(30, 2)
    collection = Collection(Examples(x, np.arange(30) % 2), "table", "made", ("a", "b"))
    prepared = prepare(collection, rule="stratified", validation=0.2, test=0.2, seed=0, store=tmp_path)
    return Path(prepared.sealed_folder)


@pytest.fixture
def ledger(tmp_path) -> Path:
    return tmp_path / "studies" / "digits" / "ledger.jsonl"


def child(sealed, ledger, where="nowhere", candidate="abc") -> subprocess.Popen:
    arguments = [sys.executable, "-c", PROGRAM, str(sealed), str(ledger), where, candidate]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(ledger: Path) -> list[dict]:
    return [json.loads(line) for line in ledger.read_text().splitlines()]


def test_the_first_opening_gives_the_test_rows_and_writes_them_down(sealed, ledger):
    seal = SealedTest(sealed, ledger)
    assert seal.openings() == 0
    examples = seal.open(**CANDIDATE)
    assert len(examples) == 6 and examples.x.shape == (6, 2)
    (line,) = lines(ledger)
    assert (line["event"], line["study"], line["trial"], line["candidate"]) == ("opened", "digits", 7, "abc")
    assert line["data"] == sealed.name and line["reason"] is None and line["when"].endswith("+00:00")
    assert seal.openings() == 1
    assert ledger.stat().st_mode & 0o777 == 0o600


def test_the_ledger_line_is_on_disk_before_a_row_is_read(sealed, ledger, monkeypatch):
    found = []
    real = np.load
    monkeypatch.setattr(np, "load", lambda *a, **k: (found.append(len(lines(ledger))), real(*a, **k))[1])
    SealedTest(sealed, ledger).open(**CANDIDATE)
    assert set(found) == {1}


def test_a_ledger_that_cannot_be_written_keeps_the_seal_closed(sealed, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("rows were read")

    monkeypatch.setattr(np, "load", never)
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(OSError, match="ledger"):
        SealedTest(sealed, tmp_path / "ledger.jsonl").open(**CANDIDATE)


def test_a_second_opening_is_refused_and_says_what_the_first_gave(sealed, ledger):
    seal = SealedTest(sealed, ledger)
    seal.open(**CANDIDATE)
    seal.record_score({"test_accuracy": 0.9731, "test_loss": float("nan")})
    for again in (seal, SealedTest(sealed, ledger)):
        with pytest.raises(SealBroken, match=r"trial 7 of study 'digits'.*test_accuracy 0.9731.*--reopen"):
            again.open(**CANDIDATE)
    assert seal.openings() == 1


def test_another_candidate_is_refused_even_when_the_first_never_finished(sealed, ledger):
    SealedTest(sealed, ledger).open(**CANDIDATE)
    for change in ({"trial": 8}, {"candidate_digest": "other"}, {"study": "other"}):
        with pytest.raises(SealBroken, match="not finished"):
            SealedTest(sealed, ledger).open(**{**CANDIDATE, **change})


def test_a_reason_opens_again_and_is_counted(sealed, ledger):
    seal = SealedTest(sealed, ledger)
    seal.open(**CANDIDATE)
    seal.record_score({"test_accuracy": 0.5})
    with pytest.raises(SealBroken):
        seal.open(**CANDIDATE, reason="  ")
    seal.open(**CANDIDATE, reason="the encoder had a fault")
    seal.record_score({"test_accuracy": 0.6})
    assert seal.openings() == 2
    assert [entry.event for entry in seal.history()] == ["opened", "scored", "opened", "scored"]
    assert seal.history()[2].reason == "the encoder had a fault"
    assert seal.history()[3].metrics == {"test_accuracy": 0.6}


@pytest.mark.parametrize("where", ["before the witness", "before the rows", "before the score"])
def test_the_same_candidate_may_finish_after_a_crash(sealed, ledger, where):
    process = child(sealed, ledger, where)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    seal = SealedTest(sealed, ledger)
    with pytest.raises(SealBroken):
        seal.open(**{**CANDIDATE, "trial": 8})
    assert len(seal.open(**CANDIDATE)) == 6
    seal.record_score({"test_accuracy": 1.0})
    assert seal.openings() == 1
    assert [entry.event for entry in seal.history()] == ["opened", "continued", "scored"]
    with pytest.raises(SealBroken):
        seal.open(**CANDIDATE)


def test_a_half_written_line_was_no_opening(sealed, ledger):
    ledger.parent.mkdir(parents=True)
    ledger.write_text('{"entry": 1, "event": "ope')
    seal = SealedTest(sealed, ledger)
    assert seal.openings() == 0
    seal.open(**CANDIDATE)
    assert seal.openings() == 1 and len(lines(ledger)) == 1


def test_of_many_processes_one_opens(sealed, ledger):
    processes = [child(sealed, ledger, candidate=f"candidate {k}") for k in range(4)]
    outputs = [process.communicate() for process in processes]
    assert sorted(out.strip() for out, _ in outputs) == ["", "", "", "opened"]
    assert all("SealBroken" in err for out, err in outputs if not out)
    assert len(lines(ledger)) == 1


class TestEveryTouchIsNoticed:
    @pytest.fixture(autouse=True)
    def history(self, sealed, ledger):
        seal = SealedTest(sealed, ledger)
        seal.open(**CANDIDATE)
        seal.record_score({"test_accuracy": 0.5})
        seal.open(**CANDIDATE, reason="again")

    @pytest.mark.parametrize(
        "name", ["when", "who", "study", "trial", "reason", "metrics", "opening", "commit", "previous"]
    )
    @pytest.mark.parametrize("line", [0, 1, 2])
    def test_an_edited_value(self, sealed, ledger, name, line):
        entries = lines(ledger)
        entries[line][name] = {"test_accuracy": 0.99} if name == "metrics" else "1999"
        ledger.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        self.refused(sealed, ledger)

    @pytest.mark.parametrize("line", [0, 1, 2])
    def test_a_removed_line(self, sealed, ledger, line):
        content = ledger.read_text().splitlines(keepends=True)
        ledger.write_text("".join(content[:line] + content[line + 1 :]))
        self.refused(sealed, ledger)

    def test_lines_in_another_order(self, sealed, ledger):
        content = ledger.read_text().splitlines(keepends=True)
        ledger.write_text("".join([content[1], content[0], content[2]]))
        self.refused(sealed, ledger)

    def test_a_removed_ledger(self, sealed, ledger):
        ledger.unlink()
        self.refused(sealed, ledger)

    def test_an_end_cut_off(self, sealed, ledger):
        ledger.write_bytes(ledger.read_bytes()[:-1])
        self.refused(sealed, ledger)

    @pytest.mark.parametrize("content", [b"\xff\xfe\n", b"null\n", b"[]\n", b'{"entry": 1}\n', b"\n"])
    def test_other_content(self, sealed, ledger, content):
        ledger.write_bytes(content)
        self.refused(sealed, ledger)

    def test_a_chain_forged_anew(self, sealed, ledger, tmp_path):
        other = tmp_path / "other.jsonl"
        SealedTest(sealed, other).open(study="digits", trial=1, candidate_digest="better")
        ledger.write_bytes(other.read_bytes())
        self.refused(sealed, ledger)

    def refused(self, sealed, ledger):
        seal = SealedTest(sealed, ledger)
        for attempt in (seal.openings, lambda: seal.open(**CANDIDATE), lambda: seal.open(**CANDIDATE, reason="again")):
            with pytest.raises(SealBroken):
                attempt()


def test_a_clock_set_back_does_not_disturb_the_order(sealed, ledger, monkeypatch):
    import searchlab.data.seal as module

    seal = SealedTest(sealed, ledger)
    seal.open(**CANDIDATE)

    class Past(module.datetime):
        @classmethod
        def now(cls, zone=None):
            return cls(1999, 1, 1, tzinfo=zone)

    monkeypatch.setattr(module, "datetime", Past)
    seal.record_score({"test_accuracy": 0.5})
    first, second = seal.history()
    assert second.when == first.when > "2000"


def test_studies_with_ledgers_of_their_own_share_sealed_rows(sealed, tmp_path):
    for name in ("one", "two"):
        seal = SealedTest(sealed, tmp_path / name / "ledger.jsonl")
        seal.open(study=name, trial=0, candidate_digest="x")
        assert seal.openings() == 1


def test_a_store_can_be_moved(sealed, ledger, tmp_path):
    SealedTest(sealed, ledger).open(**CANDIDATE)
    new = tmp_path / "elsewhere"
    new.mkdir()
    for folder in ("sealed", "studies"):
        (tmp_path / folder).rename(new / folder)
    moved = SealedTest(new / sealed.relative_to(tmp_path), new / ledger.relative_to(tmp_path))
    assert moved.openings() == 1
    (new / ledger.relative_to(tmp_path)).unlink()
    with pytest.raises(SealBroken, match="were removed"):
        moved.openings()


def test_changed_test_rows_are_refused(sealed, ledger):
    path = sealed / "test.x.npy"
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match="has changed"):
        SealedTest(sealed, ledger).open(**CANDIDATE)
    path.write_bytes(content)
    assert len(SealedTest(sealed, ledger).open(**CANDIDATE)) == 6


def test_a_score_needs_an_opening_and_comes_once(sealed, ledger):
    seal = SealedTest(sealed, ledger)
    with pytest.raises(SealBroken, match="no open seal"):
        seal.record_score({"test_accuracy": 1.0})
    seal.open(**CANDIDATE)
    other = SealedTest(sealed, ledger)
    other.open(**CANDIDATE)  # the same candidate, as after a crash
    other.record_score({"test_accuracy": 1.0})
    with pytest.raises(SealBroken, match="has its score"):
        seal.record_score({"test_accuracy": 0.9})


def test_duplicates_are_told_after_the_opening_only(sealed, ledger):
    seal = SealedTest(sealed, ledger)
    with pytest.raises(SealBroken, match="closed"):
        seal.duplicates_of_search()
    seal.open(**CANDIDATE)
    assert seal.duplicates_of_search() == 0


def test_the_commit_of_the_working_folder_is_written_down(sealed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    SealedTest(sealed, tmp_path / "a.jsonl").open(**CANDIDATE)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *words], check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull})
    SealedTest(sealed, tmp_path / "b.jsonl").open(**CANDIDATE)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert [lines(tmp_path / name)[0]["commit"] for name in ("a.jsonl", "b.jsonl")] == [None, commit]

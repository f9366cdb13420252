"""Checkpoints: whole or not at all, checked when read, never another training's.  Faults D1, D3 to D5."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from searchlab import atomic
from searchlab.records import Checkpoints
from searchlab.training import checkpoints
from searchlab.training.checkpoints import Checkpoint, Keeper, listed, numbered, path_of, paths_of

BELONGS = {"engine": "fit", "seed": "7"}


def keeper(folder: Path, *, study: str = "s1", every: float = 0.0, **belongs: str) -> Keeper:
    return Keeper(Checkpoints(str(folder), study, every), 3, {**BELONGS, **belongs})


def checkpoint(epochs: int, *, best: bool = True) -> Checkpoint:
    numbers = tuple(({"val_loss": 1.0 / 3.0 / epoch, "loss": 0.1 * epoch}, 0.5) for epoch in range(1, epochs + 1))
    arrays = {"flat": np.arange(5, dtype=np.float32) * epochs, **numbered("memory", [np.float32(2.0), np.zeros(12)])}
    return Checkpoint(numbers, arrays, (np.full((2, 3), epochs, np.float32),) if best else None)


def assert_same(found: Checkpoint | None, wanted: Checkpoint) -> None:
    assert found is not None
    assert found.epochs == wanted.epochs
    assert {name: array.tolist() for name, array in found.arrays.items()} == {
        name: np.asarray(array).tolist() for name, array in wanted.arrays.items()
    }
    assert (found.best is None) == (wanted.best is None)
    for one, other in zip(found.best or (), wanted.best or (), strict=True):
        assert np.array_equal(one, other) and one.dtype == other.dtype


@pytest.mark.parametrize("best", [True, False])
def test_what_was_written_is_read(tmp_path: Path, best: bool) -> None:
    assert keeper(tmp_path).read() is None
    assert keeper(tmp_path / "new").write(checkpoint(2, best=best))
    found = keeper(tmp_path / "new").read()
    assert_same(found, checkpoint(2, best=best))
    assert found is not None and [a.shape for a in listed("memory", found.arrays)] == [(), (12,)]


def test_two_are_kept_and_no_more(tmp_path: Path) -> None:
    writer = keeper(tmp_path)
    for epochs in (1, 2, 3, 4):
        writer.write(checkpoint(epochs))
    assert {path.name for path in tmp_path.iterdir()} == {"trial-0003.ckpt", "trial-0003.old.ckpt"}
    path_of(tmp_path, 3).unlink()
    assert_same(keeper(tmp_path).read(), checkpoint(3))
    checkpoints.remove(tmp_path, [3])
    assert not list(tmp_path.iterdir())


HARMS: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": lambda content: content[:300] + bytes([content[300] ^ 4]) + content[301:],
    "truncated": lambda content: content[:-20],
    "empty": lambda content: b"",
    "another file": lambda content: b"PK\x03\x04" + content,
}


@pytest.mark.parametrize("harm", HARMS)
def test_d4_a_spoiled_one_falls_back_to_the_one_before(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    writer = keeper(tmp_path)
    writer.write(checkpoint(1))
    writer.write(checkpoint(2))
    newest, older = paths_of(tmp_path, 3)
    newest.write_bytes(HARMS[harm](newest.read_bytes()))
    assert_same(keeper(tmp_path).read(), checkpoint(1))
    assert "trial-0003.ckpt cannot be used" in caplog.text
    older.write_bytes(HARMS[harm](older.read_bytes()))
    assert keeper(tmp_path).read() is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"study": "s2"}, "study 's1', not 's2'"),
        ({"engine": "fused"}, "engine 'fit', not 'fused'"),
        ({"keras": "3.99"}, "keras None, not '3.99'"),
    ],
)
def test_d5_one_of_another_training_is_not_used(
    tmp_path: Path, change: dict[str, str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    keeper(tmp_path).write(checkpoint(2))
    assert keeper(tmp_path, **change).read() is None
    assert words in caplog.text


@pytest.mark.parametrize("step", range(5))
def test_d3_a_kill_inside_of_writing_leaves_a_whole_one(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends before its first, second, … call that changes the disk."""

    class Killed(BaseException):
        pass

    writer = keeper(tmp_path)
    writer.write(checkpoint(1))
    writer.write(checkpoint(2))
    calls = 0

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def instead(*arguments: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls > step:
                raise Killed
            return call(*arguments, **named)

        return instead

    for name in ("fsync", "replace", "unlink"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)  # nobody tidies up after a kill
    if step < 4:
        with pytest.raises(Killed):
            writer.write(checkpoint(3))
    else:
        writer.write(checkpoint(3))
    monkeypatch.undo()
    found = keeper(tmp_path).read()
    assert_same(found, checkpoint(3 if step >= 3 else 2))
    other = Keeper(Checkpoints(str(tmp_path), "s1", 0.0), 33, BELONGS)
    other.write(checkpoint(1))
    checkpoints.remove(tmp_path, [3])
    assert [path.name for path in tmp_path.iterdir()] == ["trial-0033.ckpt"]  # nothing half-written either


def test_d1_a_full_disk_keeps_the_last_one_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer = keeper(tmp_path)
    writer.write(checkpoint(1))

    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert not writer.write(checkpoint(2))
    assert "the last one stays" in caplog.text and caplog.records[0].levelno == logging.WARNING
    assert_same(keeper(tmp_path).read(), checkpoint(1))
    assert [path.name for path in tmp_path.iterdir()] == ["trial-0003.ckpt"]


def test_they_come_as_often_as_asked_for_unless_writing_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    writer = keeper(tmp_path, every=2.0)
    assert not writer.is_due
    now[0] += 2.0
    assert writer.is_due

    def slowly(path: Path, content: bytes, *, keep: Path) -> Path:
        now[0] += 1.0
        return path

    monkeypatch.setattr(atomic, "write_bytes", slowly)
    writer.write(checkpoint(1))
    now[0] += 49.0
    assert not writer.is_due
    now[0] += 1.0
    assert writer.is_due


def test_each_epoch_is_kept_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = keeper(tmp_path, every=0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 1e-9)
    writer.write(checkpoint(1))
    assert writer.is_due

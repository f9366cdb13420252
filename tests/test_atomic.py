"""Files are whole or absent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from searchlab import atomic


def test_what_was_written_is_there(tmp_path: Path) -> None:
    path = atomic.write_json(tmp_path / "new" / "a.json", {"b": 1, "a": "é"})
    assert json.loads(path.read_text()) == {"a": "é", "b": 1}
    assert atomic.write_text(tmp_path / "t", "é").read_bytes() == "é".encode()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = atomic.write_text(tmp_path / "a.txt", "old")

    def half(temporary: Path) -> None:
        temporary.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        atomic.write_with(path, half)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_temporary_name_keeps_its_suffixes(tmp_path: Path) -> None:
    seen: list[str] = []
    atomic.write_with(tmp_path / "trial-1.weights.npz", lambda temporary: seen.append(temporary.name))
    assert seen[0].endswith(".weights.npz")


def test_a_crash_before_the_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = atomic.write_text(tmp_path / "a.txt", "old")

    def crash(source: object, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_text(path, "new")
    assert path.read_text() == "old"

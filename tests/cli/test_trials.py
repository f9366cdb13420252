"""`searchlab trials` shows what trials took of their GPUs, where there is something to show."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1]))

from small_study import small_study

from searchlab.cli import app
from searchlab.records import GpuUse, TrialResult
from searchlab.runner.home import Home


def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *uses: GpuUse | None) -> str:
    """What the command shows of a study whose trials took so much."""
    importlib.import_module("searchlab.cli.trials")  # which makes itself known to `app`
    monkeypatch.setenv("SEARCHLAB_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    study = small_study(Home(tmp_path).storage_url, owner="test")
    for use in uses:
        study.tell(TrialResult(study.ask().number, "complete", 0.5, seconds=2.0, metrics={"val_loss": 0.5}, gpu=use))
    study.close()
    done = CliRunner().invoke(app, ["trials", "s"])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_study_on_a_gpu_has_columns_and_a_line_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(tmp_path, monkeypatch, GpuUse("Fake GPU", 0.5, 3 << 30, 2.0), None)
    heads, first, second, *_ = text.splitlines()
    assert "GPU busy" in heads
    assert first.split()[4:7] == ["50%", "3072", "2"] and second.split()[4:7] == ["–", "–", "–"]
    assert "Fake GPU: 1 trial, busy 50% of the time, 3.0 GiB at most, 2 Wh in all" in text


def test_a_study_on_the_processor_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "GPU" not in shown(tmp_path, monkeypatch, None)

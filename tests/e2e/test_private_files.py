"""H9: what a study keeps is for the user who runs it: 0700 and 0600, whatever the user's own umask lets through."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "faults")]

from fault_lab import NAME, Lab


def open_to_others(folder: Path) -> list[str]:
    paths = [folder, *folder.rglob("*")]
    return [f"{path.relative_to(folder)} {oct(path.stat().st_mode)}" for path in paths if path.stat().st_mode & 0o077]


@pytest.mark.slow
def test_h9_nothing_of_a_study_is_open_to_others(tmp_path: Path) -> None:
    lab = Lab(tmp_path, tracking="tracking: {enabled: true}")
    lab.script(_1="raise@1!")
    try:
        command = lab.start("run", "s.yaml", "--plain", under=("sh", "-c", 'umask 0; exec "$@"', "sh"))
        assert command.wait(120) == 0, command.errors
        assert lab.start("report", NAME).wait() == 0
        folders = {path.name for path in (tmp_path / "home").iterdir()}
        assert {"optuna.db", "mlflow.db", "outbox", "artifacts", "studies", "data", "sealed"} <= folders
        assert open_to_others(tmp_path / "home") == []
    finally:
        lab.close()

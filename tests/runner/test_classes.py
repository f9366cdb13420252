"""The confusion of the best trial is kept in the study's folder, and is nobody else's."""

from __future__ import annotations

from pathlib import Path

from searchlab.records import Confusion
from searchlab.runner import classes
from searchlab.runner.home import Home

CONFUSION = Confusion(7, ("a", "b"), ((3, 1), (0, 2)))


def test_what_is_kept_is_read_again_for_that_trial_alone(tmp_path: Path) -> None:
    folder = Home(tmp_path).study("s")
    folder.folder.mkdir(parents=True)
    assert classes.read(folder, 7) is None
    kept = classes.keep(CONFUSION, folder)
    assert classes.read(folder, 7) == CONFUSION
    assert classes.read(folder, 8) is None and classes.read(folder, None) is None
    assert set(kept) == {"per_class.csv", "confusion.csv", "confusion.png"}
    for name, content in kept.items():
        assert (folder.folder / name).read_bytes() == (content if isinstance(content, bytes) else content.encode())

"""The confusion of a study's best trial in the study's folder: for `report`, for people, for the tracker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from searchlab import atomic
from searchlab.records import Confusion
from searchlab.reports.confusion import counts_csv, scores_csv
from searchlab.reports.confusion_picture import picture
from searchlab.runner.home import StudyFolder


def keep(confusion: Confusion, folder: StudyFolder) -> Mapping[str, bytes | str]:
    """Write it down; the tables and the picture, by the name of their file."""
    atomic.write_json(folder.confusion, asdict(confusion))
    tables = {"per_class.csv": scores_csv(confusion), "confusion.csv": counts_csv(confusion)}
    for name, text in tables.items():
        atomic.write_text(folder.folder / name, text)
    drawn = picture(confusion)
    atomic.write_bytes(folder.folder / "confusion.png", drawn)
    return {**tables, "confusion.png": drawn}


def read(folder: StudyFolder, best: int | None) -> Confusion | None:
    """What was written for the trial `best`; None where another was the best then, or nothing is there."""
    if not folder.confusion.exists():
        return None
    content = json.loads(folder.confusion.read_text(encoding="utf-8"))
    counts = tuple(map(tuple, content["counts"]))
    return Confusion(content["trial"], tuple(content["classes"]), counts) if content["trial"] == best else None

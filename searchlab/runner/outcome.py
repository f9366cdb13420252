"""A study as a result: read from the storage, drawn, written as a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from searchlab import atomic
from searchlab.records import StudyResult, TestScore
from searchlab.reports.html import render
from searchlab.runner import classes
from searchlab.runner.home import Home
from searchlab.search.figures import Figure, figures, pictures
from searchlab.search.study import Study
from searchlab.space import Space
from searchlab.tracking import PROMOTED

CHAMPION = "champion"
"""The fact that says which model was made of the study: the number of its trial, and the hash of its file."""

TOLD_ELSEWHERE = ("resolved", "folder", "uid", "objective_sd", CHAMPION, PROMOTED)
"""Facts that the report shows in a place of their own, or that mean nothing to its reader."""


def result_of(study: Study, home: Home) -> StudyResult:
    """The study as the storage has it, with the test score where the seal was opened on this machine."""
    facts = study.facts
    folder = home.study(study.name)
    result = StudyResult(
        name=study.name,
        objective=study.objective,
        trials=study.records(),
        budget=int(facts.get("budget", 0)),
        seed=study.seed,
        validation_examples=int(facts.get("counts", {}).get("validation", 0)),
        facts=facts,
        test=read_score(folder.test),
    )
    best = result.best
    return replace(result, confusion=classes.read(folder, best.trial.number if best else None))


def read_score(path: Path) -> TestScore | None:
    """The stored test score; None when the seal has not been opened."""
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    content["intervals"] = {name: (low, high) for name, (low, high) in content["intervals"].items()}
    return TestScore(**content)


def write_score(score: TestScore, path: Path) -> None:
    """Keep the test score beside the study."""
    atomic.write_json(path, asdict(score))


@dataclass(frozen=True)
class Drawn:
    """Everything that is drawn of a study, once for the report and the tracker."""

    figures: Mapping[str, Figure]
    """Interactive ones by name."""
    pictures: Mapping[str, bytes]
    """PNG files by name."""

    def attachments(self) -> Mapping[str, bytes | str]:
        """What the tracker keeps with the study: every figure as a picture, by path.

        Not as a page of its own: that fetched Plotly's script from the network, and was empty where there is none.
        """
        return {f"figures/{name}.png": content for name, content in self.pictures.items()}


def draw(result: StudyResult, space: Space) -> Drawn:
    """Draw `result`."""
    return Drawn(figures(result, space), pictures(result, space))


def write_report(result: StudyResult, space: Space, path: Path, drawn: Drawn | None = None) -> Path:
    """Write the HTML report of `result` to `path`, with the figures of `drawn` where they are there already."""
    facts = result.facts
    shown = replace(result, facts={name: value for name, value in facts.items() if name not in TOLD_ELSEWHERE})
    found = drawn.figures if drawn is not None else figures(result, space)
    page = render(
        shown,
        {name.replace("_", " ").capitalize(): figure for name, figure in found.items()},
        description=str(facts.get("data_description", "")),
        resolved=str(facts.get("resolved", "")),
        sd=facts.get("objective_sd"),
    )
    return atomic.write_text(path, page)

"""`searchlab validate STUDY`: find every fault of a study file without running anything."""

from __future__ import annotations

import typer

from searchlab.cli import app
from searchlab.cli._options import Overrides, StudyFile


@app.command()
def validate(study: StudyFile, overrides: Overrides = None) -> None:
    """Check a study file and its space: every fault at once, each with its place."""
    from searchlab.runner.check import check
    from searchlab.shipped import find
    from searchlab.space.measure import size
    from searchlab.spec.load import load_study

    path = find(study)
    spec = load_study(path, overrides=tuple(overrides or ()))
    check(spec)
    count = size(spec.space)
    typer.echo(
        f"{path}: fine. {len(spec.space.varied)} parameters vary, "
        f"{'no end of' if count is None else format(count, ',')} configurations, {spec.search.trials} trials."
    )

"""`searchlab sync [STUDY]`: deliver to MLflow what could not be delivered before."""

from __future__ import annotations

import typer

from searchlab.cli import app
from searchlab.cli._options import OneStudy, Storage


@app.command()
def sync(
    study: OneStudy = None,
    storage: Storage = None,
) -> None:
    """Deliver what MLflow has not got because it was out of reach."""
    from searchlab.runner.home import Home
    from searchlab.runner.stored import stored_spec, study_names
    from searchlab.tracking import TRACKERS

    home = Home.find()
    is_left = False
    for name in [study] if study else study_names(home, storage):
        spec = stored_spec(name, home, storage)
        tracker = TRACKERS.get("mlflow" if spec.tracking.enabled else "none")
        delivery = tracker.sync(spec.tracking.uri, experiment=spec.tracking.experiment or name, home=home.folder)
        typer.echo(f"{name}: {delivery}")
        is_left = is_left or delivery.undelivered > 0
    if is_left:
        raise typer.Exit(4)

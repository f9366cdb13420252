"""`searchlab sync [STUDY]`: deliver to MLflow what could not be delivered before."""

from __future__ import annotations

import typer

from searchlab.cli import app
from searchlab.cli._options import OneStudy, Storage


@app.command()
def sync(
    study: OneStudy = None,
    storage: Storage = None,
    rebuild: bool = typer.Option(False, "--rebuild", help="Also write again what MLflow lacks or has otherwise."),
) -> None:
    """Deliver what MLflow has not got because it was out of reach, or because a run was killed."""
    from searchlab.runner import deliver
    from searchlab.runner.home import Home
    from searchlab.runner.stored import study_names

    home = Home.find()
    is_left = False
    for name in [study] if study else study_names(home, storage):
        delivery = deliver.deliver(name, home, storage)
        typer.echo(f"{name}: {delivery}")
        if rebuild and not delivery.undelivered:
            typer.echo(f"{name}: written again: {deliver.rebuild(name, home, storage)}")
        is_left = is_left or delivery.undelivered > 0
    if is_left:
        raise typer.Exit(4)

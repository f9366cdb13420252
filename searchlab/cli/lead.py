"""`searchlab lead STUDY`: what the evaluator of a team starts for each study of its queue."""

from __future__ import annotations

import typer

from searchlab.cli import app
from searchlab.cli._options import StudyName


@app.command(hidden=True)
def lead(
    study: StudyName,
    storage: str = typer.Option(..., "--storage", envvar="SEARCHLAB_STORAGE", help="URL of the team's storage."),
) -> None:
    """Lead a submitted study: train nothing, wait for workers, write its report and its model."""
    import logging

    from searchlab import cli
    from searchlab.errors import Interrupted
    from searchlab.runner.home import Home
    from searchlab.runner.lead import lead as lead_study

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cli.is_hasty = True
    if lead_study(study, Home.find(), storage) is None:
        raise Interrupted(f"{study} goes on when it is led again")

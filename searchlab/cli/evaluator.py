"""`searchlab evaluator`: the service of a team that takes studies, keeps the seal and makes the ends."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

from searchlab.cli import app


@app.command()
def evaluator(
    storage: str = typer.Option(..., "--storage", envvar="SEARCHLAB_STORAGE", help="URL of the team's storage."),
    tracking: str = typer.Option(..., "--tracking", envvar="SEARCHLAB_TRACKING", help="The team's MLflow server."),
    uploads: Path = typer.Option(..., "--uploads", envvar="SEARCHLAB_UPLOADS", help="Where users' files are unpacked."),
    data: Optional[Path] = typer.Option(  # noqa: UP045  typer reads this at run time
        None, "--data", envvar="SEARCHLAB_DATA", help="The team's own data, which studies may name."
    ),
    quotas: str = typer.Option(
        "", "--quotas", envvar="SEARCHLAB_QUOTAS", metavar="ann=4,*=2", help="The most workers of a user at a time."
    ),
) -> None:
    """Take the studies that a team's users submit, prepare their data, lead them, and alone open the seal.

    SEARCHLAB_WORKER_USER and SEARCHLAB_WORKER_PASSWORD name the workers' account, which is made where it is missing.
    """
    import logging
    import os

    from searchlab.runner.evaluator import Evaluator, Team
    from searchlab.runner.home import Home

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    name, password = (os.environ.get(f"SEARCHLAB_WORKER_{part}") for part in ("USER", "PASSWORD"))
    worker = (name, password) if name and password else None
    os.environ.update(SEARCHLAB_STORAGE=storage, SEARCHLAB_TRACKING=tracking)  # what submitted studies are given
    team = Team(storage, tracking, uploads.absolute(), data, quotas, worker)
    Evaluator(team, Home.find()).serve()

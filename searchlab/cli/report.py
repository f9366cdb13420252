"""`searchlab report STUDY`: one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from searchlab.cli import app
from searchlab.cli._options import Storage, StudyName


@app.command()
def report(
    study: StudyName,
    storage: Storage = None,
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="Where to write it.")] = None,  # noqa: UP045
) -> None:
    """Write the report of a study as one self-contained HTML file."""
    from searchlab.runner.home import Home
    from searchlab.runner.outcome import write_report
    from searchlab.runner.stored import read_study, stored_space

    home = Home.find()
    result = read_study(study, home, storage)
    path = output or home.study(study).report
    write_report(result, stored_space(study, home, storage), path)
    typer.echo(str(path))

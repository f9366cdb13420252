"""`searchlab export STUDY`: the best model as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from searchlab.cli import app
from searchlab.cli._options import Storage, StudyName


@app.command()
def export(
    study: StudyName,
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="File or folder to write.")] = None,  # noqa: UP045
    form: Annotated[str, typer.Option("--format", metavar="keras|onnx|saved_model", help="What to write.")] = "keras",
    trial: Annotated[Optional[int], typer.Option("--trial", help="Another trial than the best.")] = None,  # noqa: UP045
    storage: Storage = None,
) -> None:
    """Write the best model of a study: raw inputs in, probabilities or values out."""
    from searchlab.errors import UnknownName
    from searchlab.runner.champion import export as write_model
    from searchlab.runner.home import Home

    endings = {"keras": ".keras", "onnx": ".onnx", "saved_model": ""}
    if form not in endings:
        raise UnknownName.among(list(endings), kind="format", name=form)
    path = output or Path(f"{study}{endings[form]}")
    typer.echo(str(write_model(study, Home.find(), storage=storage, path=path, form=form, trial=trial)))

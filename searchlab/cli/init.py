"""`searchlab init`: a starter study for your data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from searchlab.cli import app


@app.command()
def init(
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[DATA]", help="A CSV, Parquet or .npz file, a folder of class folders, or a source."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The study file to write.")] = Path("study.yaml"),
    target: Annotated[Optional[str], typer.Option("--target", help="Column to predict.")] = None,  # noqa: UP045
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a starter study file for your data, with its space inside."""
    from searchlab.atomic import write_text
    from searchlab.errors import SpecError
    from searchlab.runner.starter import starter

    if output.exists() and not force:
        raise SpecError(f"{output} exists already; --force overwrites it, --output names another file")
    write_text(output, starter(data or "digits", folder=output.absolute().parent, target=target))
    typer.echo(f"{output} written. Next:\n  searchlab validate {output}\n  searchlab run {output}")

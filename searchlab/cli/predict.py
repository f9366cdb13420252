"""`searchlab predict MODEL FILES…`: what a chosen model says of new examples, as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from searchlab.cli import app
from searchlab.cli._options import Storage

if TYPE_CHECKING:
    from typing import TextIO

    from searchlab.runner.predict import Answers

SOME_UNREADABLE = 3
"""The exit status where files had no answer."""

EVERY = 5.0
"""Seconds between two words on how far it is."""


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A study that was run before, or a .keras file.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="Images and folders, or one table.")],
    out: Annotated[Optional[Path], typer.Option("--out", "-o", help="A CSV file instead of the screen.")] = None,  # noqa: UP045
    trial: Annotated[Optional[int], typer.Option("--trial", help="Another trial than the best.")] = None,  # noqa: UP045
    storage: Storage = None,
) -> None:
    """Label images, or the rows of a CSV, Parquet or .npz file, with the best model of a study.

    Files that cannot be read are listed at the end, and the exit status is then 3; the others are told about.
    """
    import sys

    from searchlab import cli
    from searchlab.atomic import write_with
    from searchlab.runner.home import Home
    from searchlab.runner.predict import predict as ask

    answers = ask(model, files, Home.find(), storage=storage, trial=trial)
    cli.is_hasty = True
    faults: list[str] = []
    if out is None:
        faults += _write(answers, sys.stdout)
    else:

        def fill(path: Path) -> None:
            with path.open("w", encoding="utf-8", newline="") as file:
                faults.extend(_write(answers, file))

        write_with(out, fill)
        typer.echo(f"{answers.count - len(faults)} predictions written to {out}", err=True)
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        typer.echo(f"{len(faults)} of {answers.count} files could not be read", err=True)
        raise typer.Exit(SOME_UNREADABLE)


def _write(answers: Answers, file: TextIO) -> list[str]:
    """Write the answers as they come, and say now and then how far they are; the faults of those without one."""
    import csv
    import time

    from searchlab.reports.table import harmless

    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(harmless, answers.header))
    faults: list[str] = []
    done, told = 0, time.monotonic()
    for answer in answers.batches:
        for row in answer.rows:
            writer.writerow([f"{value:.6g}" if isinstance(value, float) else harmless(value) for value in row])
        faults += answer.faults
        done += len(answer)
        if done < answers.count and time.monotonic() - told > EVERY:
            told = time.monotonic()
            typer.echo(f"{done:,} of {answers.count:,}", err=True)
    return faults

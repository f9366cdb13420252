"""`searchlab doctor`: devices, versions, stores; says what is wrong and what to do."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from searchlab.cli import app
from searchlab.cli._options import Storage


@app.command()
def doctor(
    storage: Storage = None,
    tracking: Annotated[Optional[str], typer.Option("--tracking", help="URI of the MLflow store.")] = None,  # noqa: UP045
) -> None:
    """Check this machine: Python, libraries, devices, disk, whether the stores can be reached."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from searchlab.runner.home import Home
    from searchlab.runner.machine import examine

    table = Table(box=None, show_header=False, pad_edge=False)
    findings = examine(Home.find(), storage=storage, tracking=tracking)
    for finding in findings:
        mark, colour = {"good": ("✓", "green"), "note": ("·", "yellow"), "bad": ("✗", "red")}[finding.grade]
        table.add_row(Text(mark, style=colour), finding.subject, Text(finding.words))
    Console(highlight=False).print(table)
    if any(finding.grade == "bad" for finding in findings):
        raise typer.Exit(4)

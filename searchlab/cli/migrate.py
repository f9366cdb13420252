"""`searchlab migrate`: make or upgrade the tables of a team's storage."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from searchlab.cli import app

Role = Annotated[
    Optional[str],  # noqa: UP045  typer reads this at run time
    typer.Option("--role", help="A role of the PostgreSQL server that may use the tables, and not change them."),
]


@app.command()
def migrate(
    storage: str = typer.Option(..., "--storage", envvar="SEARCHLAB_STORAGE", help="URL of the team's storage."),
    role: Role = None,
) -> None:
    """Make the tables of a storage, or upgrade them after a backup; `docker compose up` does it for a stack."""
    from searchlab.search.migration import migrate as make

    for line in make(storage, role):
        typer.echo(line)

"""`searchlab gc`: remove what nobody needs any more."""

from __future__ import annotations

from typing import Annotated

import typer

from searchlab.cli import app
from searchlab.cli._options import Storage


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    storage: Storage = None,
) -> None:
    """Remove what nobody needs: checkpoints of ended trials, weights beyond the best, unused examples, old logs."""
    from rich.console import Console
    from rich.table import Table

    from searchlab.runner import sweep
    from searchlab.runner.home import Home

    home = Home.find()
    found = sweep.find(home, storage)
    table = Table("what", "size", "why", box=None, pad_edge=False)
    for item in found:
        path = item.path.relative_to(home.folder) if item.path.is_relative_to(home.folder) else item.path
        table.add_row(str(path), _size(item.bytes), item.reason)
    if found:
        Console(highlight=False).print(table)
    if dry_run:
        typer.echo(f"{_size(sum(item.bytes for item in found))} could be freed")
    else:
        typer.echo(f"{_size(sweep.remove(found))} freed")


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"

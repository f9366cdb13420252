"""`searchlab list [KIND]`: everything that a study file may name."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from searchlab.cli import app


@app.command("list")
def list_plugins(
    kind: Annotated[Optional[str], typer.Argument(metavar="[KIND]", help="Only this kind.")] = None,  # noqa: UP045
) -> None:
    """List families, optimizers, samplers, data sources, shipped studies … with a line each."""
    from searchlab.errors import UnknownName
    from searchlab.runner.plugins import CATALOGS
    from searchlab.shipped import summaries

    known: dict[str, dict[str, str]] = {
        **{name: {n: c.summary(n) for n in c.names()} for name, c in CATALOGS.items()},
        **{str(k): v for k, v in summaries().items()},
    }
    if kind is not None and kind not in known:
        raise UnknownName.among(list(known), kind="kind", name=kind)
    for name, members in known.items():
        if kind in (None, name):
            typer.echo(f"{name}:")
            for member, words in members.items():
                typer.echo(f"  {member:24} {words}")

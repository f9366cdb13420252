"""`searchlab promote STUDY`: the best model under a name that others load it by."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from searchlab.cli import app
from searchlab.cli._options import Stack, Storage, StudyName


@app.command()
def promote(
    study: StudyName,
    alias: Annotated[str, typer.Option("--alias", help="The alias that is to point to the model.")] = "champion",
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--name", metavar="MODEL", help="The registered model's name. [default: the study's]"),
    ] = None,
    storage: Storage = None,
    stack: Stack = None,
) -> None:
    """Register the best model in the study's MLflow store, with an alias and a model card."""
    if stack is not None:
        from searchlab.cli._stacked import ask

        ask("promote", study, stack, alias=alias, name=name)
        return
    from rich.console import Console
    from rich.text import Text

    from searchlab.cli._words import page, say
    from searchlab.runner.home import Home
    from searchlab.runner.promote import promote as register

    console = Console(highlight=False)
    made = register(study, Home.find(), storage=storage, alias=alias, model_name=name)
    say(console, made.lines)
    console.print(Text.assemble(("page    ", "dim"), page(made.registered.page)), soft_wrap=True)

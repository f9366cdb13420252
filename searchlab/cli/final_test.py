"""`searchlab final-test STUDY`: open the sealed test set, once."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from searchlab.cli import app
from searchlab.cli._options import Stack, Storage, StudyName


@app.command("final-test")
def final_test(
    study: StudyName,
    storage: Storage = None,
    reopen: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--reopen", metavar="REASON", help="Open it again; every later report prints the reason."),
    ] = None,
    stack: Stack = None,
) -> None:
    """Freeze the best trial, open the sealed test set and report its score with a 95 % interval."""
    if stack is not None:
        from searchlab.cli._stacked import ask

        ask("final-test", study, stack, reopen=reopen)
        return
    from rich.console import Console

    from searchlab.cli._words import say
    from searchlab.runner.final_test import final_test as open_seal
    from searchlab.runner.home import Home

    say(Console(highlight=False), open_seal(study, Home.find(), storage=storage, reason=reopen).lines)

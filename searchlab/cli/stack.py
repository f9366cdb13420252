"""`searchlab stack ...`: the team's MLflow, storage and workers, on the machine that serves them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from searchlab.cli import app

stack = typer.Typer(
    help="Set up, back up and upgrade the team's stack (compose.yaml).",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(stack, name="stack")

Folder = Annotated[Path, typer.Option("--folder", help="Where compose.yaml lies.")]
HERE = Path()


@stack.command()
def init(folder: Folder = HERE) -> None:
    """Write .env: random passwords for each part of the stack. Asks nothing, and never overwrites."""
    from searchlab.stack import secrets
    from searchlab.stack.compose import digest_of

    secrets.check_folder(folder.absolute())
    found = {}
    if not (folder / secrets.FILE).exists():
        found = {variable: digest_of(image) for variable, image in secrets.IMAGES.items()}
    file = secrets.make(folder.absolute(), {variable: image for variable, image in found.items() if image})
    typer.echo(f"{file} written: secrets for this stack, readable by you alone, ignored by git.")
    if not all(found.values()):
        typer.echo("No registry of images answers, so they are named by version and not by digest.")
    typer.echo(
        "Next:\n"
        "  docker compose up -d --wait\n"
        "  searchlab stack user add NAME\n"
        "MLflow is then at http://127.0.0.1:5000; its 'admin' has MLFLOW_ADMIN_PASSWORD of .env."
    )

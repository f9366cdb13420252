"""`searchlab stack ...`: the team's MLflow, storage and workers, on the machine that serves them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

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


File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="The archive to write. [default: backups/searchlab-DATE.tar]"),
]


@stack.command()
def backup(file: File = None, folder: Folder = HERE) -> None:
    """Save both databases, artifacts, studies, sealed rows and uploads of the running stack in one archive."""
    from searchlab.stack.backup import backup as save
    from searchlab.stack.compose import Stack

    made = save(Stack(folder.absolute()), file or _dated(folder))
    typer.echo(f"{made} written, {made.stat().st_size / 1e6:.1f} MB. It holds test rows and models, and no passwords.")


@stack.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive of `searchlab stack backup`.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what the stack holds.")] = False,
    folder: Folder = HERE,
) -> None:
    """Put an archive in the place of what the stack holds; checks all of it first."""
    from searchlab.stack.backup import checked
    from searchlab.stack.backup import restore as put_back
    from searchlab.stack.compose import Stack

    archive = checked(file)
    put_back(Stack(folder.absolute()), archive, force=force)
    typer.echo(
        f"the stack is as it was at {archive.made} (searchlab {archive.versions.get('searchlab')}). Next:\n"
        "  docker compose up -d --wait"
    )


@stack.command()
def upgrade(file: File = None, folder: Folder = HERE) -> None:
    """After checking out a newer searchlab: a backup, its images, then the tables of studies and MLflow."""
    from searchlab.stack.backup import upgrade as renew
    from searchlab.stack.compose import Stack

    place = file or _dated(folder)
    renew(Stack(folder.absolute()), place)
    typer.echo(f"upgraded and running. What was before is in {place}.")


def _dated(folder: Path) -> Path:
    from datetime import datetime

    return folder / "backups" / f"searchlab-{datetime.now():%Y-%m-%d-%H%M%S}.tar"


user = typer.Typer(
    help="The people who may submit studies and read MLflow's pages.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
stack.add_typer(user, name="user")

Where = Annotated[
    Optional[str],  # noqa: UP045  typer reads this at run time
    typer.Option("--stack", metavar="URL", envvar="SEARCHLAB_STACK", help="The team's MLflow server."),
]


@user.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user's name: letters, digits, dots and hyphens.")],
    where: Where = None,
    folder: Folder = HERE,
) -> None:
    """Make a user, and print the password: once, it is kept nowhere.

    As the administrator of .env, or as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD say.
    """
    from searchlab.runner.submit import make_user
    from searchlab.stack import secrets

    settings = secrets.read(folder.absolute()) if where is None else {}
    place = where or f"http://127.0.0.1:{settings.get('STACK_PORT', '5000')}"
    admin = ("admin", settings["MLFLOW_ADMIN_PASSWORD"]) if "MLFLOW_ADMIN_PASSWORD" in settings else None
    password = make_user(place, name, admin)
    typer.echo(
        f"{name} may use {place}. On the machine of {name}:\n"
        f"  export MLFLOW_TRACKING_USERNAME={name}\n"
        f"  export MLFLOW_TRACKING_PASSWORD={password}\n"
        f"  searchlab run STUDY.yaml --stack {place}"
    )


@stack.command()
def status(where: Where = None) -> None:
    """Show the studies that were submitted, whose they are, how far they are, and the workers."""
    from searchlab.cli._stacked import ask

    ask("status", "", _place(where))


@stack.command()
def stop(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study of yours.")],
    where: Where = None,
) -> None:
    """End a study of yours: trials under way end their epoch; what has ended is kept. Submit it again to go on."""
    from searchlab.cli._stacked import ask

    ask("stop", study, _place(where))


def _place(where: str | None) -> str:
    """The team's server.

    Raises:
        SpecError: It is not said.
    """
    from searchlab.errors import SpecError

    if where is None:
        raise SpecError("where is the stack? --stack URL, or SEARCHLAB_STACK in the environment")
    return where

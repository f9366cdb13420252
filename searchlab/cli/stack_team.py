"""`searchlab stack user add`, `status` and `stop`: who may use a team's stack, and what goes on there."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from searchlab.cli.stack import HERE, Folder, stack

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

"""The options that several commands share, with one wording each."""

from __future__ import annotations

import json
from typing import Annotated, Optional

import typer

from searchlab.errors import SpecError

StudyFile = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a shipped one.")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="The name of a study that was run before.")]
OneStudy = Annotated[
    Optional[str],  # noqa: UP045  typer reads this at run time
    typer.Argument(metavar="[STUDY]", help="One study; all of them without."),
]
Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045  typer reads this at run time
    typer.Option("--set", metavar="A.B=C", help="Override anything in the study file; may be given again."),
]
Storage = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--storage", envvar="SEARCHLAB_STORAGE", help="URL of the Optuna storage. [default: in --home]"),
]
Trials = Annotated[Optional[int], typer.Option("--trials", min=1, help="How many trials in all.")]  # noqa: UP045
Workers = Annotated[Optional[int], typer.Option("--workers", min=1, help="How many trials at once.")]  # noqa: UP045
Timeout = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--timeout", metavar="30m", help="Ask for no more trials after this time."),
]
Fork = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--fork", metavar="NAME", help="Begin a new study that learns from the trials of this one."),
]
Plain = Annotated[bool, typer.Option("--plain", help="One line a trial instead of the live display.")]
Stack = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--stack", metavar="URL", envvar="SEARCHLAB_STACK", help="Have a team's workers do it."),
]
FinalTest = Annotated[bool, typer.Option("--final-test", help="Open the sealed test set at the end, once.")]


def with_budget(
    overrides: list[str] | None, *, trials: int | None, workers: int | None, timeout: str | None
) -> tuple[str, ...]:
    """`--set` together with what `--trials`, `--workers` and `--timeout` mean by it."""
    short = {"search.trials": trials, "execution.workers": workers, "search.timeout": timeout}
    return (*(overrides or ()), *(f"{path}={value}" for path, value in short.items() if value is not None))


def renamed(name: str, overrides: tuple[str, ...], fork: str | None) -> tuple[str, ...]:
    """The overrides under which the study `name` becomes its fork.

    Raises:
        SpecError: The fork has the name of the study itself.
    """
    if fork == name:
        raise SpecError(f"a fork needs a name of its own, and {name!r} is that of the study itself")
    return overrides if fork is None else (*overrides, f"study={json.dumps(fork)}")

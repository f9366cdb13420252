"""What `run` and `resume` share: the display around a session, the closing words, the exit status."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from searchlab import cli
from searchlab.cli._progress import Progress
from searchlab.cli._words import page, say
from searchlab.errors import AllTrialsFailed, Interrupted
from searchlab.reports.words import reason_lines
from searchlab.runner.final_test import final_test as open_seal
from searchlab.runner.home import Home
from searchlab.runner.session import Outcome, run
from searchlab.spec import StudySpec


def drive(spec: StudySpec, *, final_test: bool, plain: bool, fork_of: str | None = None) -> None:
    """Run `spec` with a display, print what came out, and open the seal when `final_test` says so.

    Raises:
        Interrupted: Someone asked to stop; the message holds the command that goes on.
        AllTrialsFailed: There is nothing to choose from; the message holds the reasons.
    """
    cli.is_hasty = True
    console = Console(highlight=False)
    home = Home.find()
    varied = frozenset(parameter.name for parameter in spec.space.varied)
    with Progress(console, varied=varied, plain=plain or None) as progress:
        outcome = run(spec, home, progress, fork_of=fork_of)
    say(console, outcome.lines)
    _places(console, outcome)
    _complain(outcome, spec.name)
    if final_test and outcome.result.test is None:
        say(console, open_seal(spec.name, home, storage=spec.storage, stage=progress.stage).lines)


def _places(console: Console, outcome: Outcome) -> None:
    """Where to find what came out."""
    view = None if outcome.view is None else page(outcome.view)
    for what, place in (("model", outcome.champion), ("report", outcome.report), ("MLflow", view)):
        if place is not None:
            console.print(Text.assemble((f"{what:8}", "dim"), str(place)), soft_wrap=True)


def _complain(outcome: Outcome, name: str) -> None:
    if outcome.ending == "interrupted":
        raise Interrupted(f"interrupted; nothing finished was lost. Go on with:  searchlab resume {name}")
    if outcome.ending == "paused":
        raise AllTrialsFailed(f"paused: {outcome.pause_reason}. When it is mended:  searchlab resume {name}")
    if outcome.result.best is None:
        reasons = "; ".join(line.strip() for line in reason_lines(outcome.result))
        raise AllTrialsFailed(f"no trial of {name!r} was completed, so there is no best one. {reasons}")

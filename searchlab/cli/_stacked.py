"""What commands with `--stack` share: a request to a team's evaluator, and what is shown of its answers."""

from __future__ import annotations

import time
from typing import Any

import typer

from searchlab.cli._progress import clock
from searchlab.errors import Interrupted, SearchlabError
from searchlab.runner.submit import ask as ask_evaluator
from searchlab.runner.submit import follow, submit
from searchlab.spec import StudySpec
from searchlab.tracking.mlflow.inbox import Answer, Mail


class Told(SearchlabError):
    """What the evaluator of a team says of something that went wrong, with the exit status that it has there."""

    def __init__(self, words: str, exit_code: int) -> None:
        super().__init__(words)
        self.exit_code = exit_code


def run(spec: StudySpec, stack: str, *, priority: int, final_test: bool) -> None:
    """Submit a study, show how it goes, and end as it ends.

    Raises:
        Interrupted: Someone asked to stop looking; the study goes on.
        Told: It did not end well.
    """
    mail = Mail(stack)
    request = submit(spec, mail, priority=priority, say=typer.echo)
    typer.echo(f"{spec.name} is submitted to {stack.partition('@')[2] or stack} for {mail.user}")
    try:
        last = _show(mail, request)
    except KeyboardInterrupt:
        words = f"{spec.name} goes on in the stack. Look again:  searchlab run … --stack {stack},  or end it:"
        raise Interrupted(f"{words}  searchlab stack stop {spec.name}") from None
    view = last.content.get("view")
    _say(last)
    if view is not None:
        typer.echo(f"MLflow  {view}")
    if final_test:
        ask("final-test", spec.name, stack)


def ask(kind: str, study: str, stack: str, **details: Any) -> None:
    """Have the evaluator do something, and print what it says.

    Raises:
        Told: It could not be done.
    """
    _say(ask_evaluator(Mail(stack), kind, study, **details))


def _show(mail: Mail, request: str) -> Answer:
    """The last word; a line for each thing that changes before."""
    began = time.monotonic()
    shown, last = "", Answer("waiting", {})
    for last in follow(mail, request):
        line = _line(last)
        if line and line != shown:
            shown = line
            typer.echo(f"{clock(time.monotonic() - began):>6}  {line}")
    return last


def _line(answer: Answer) -> str:
    """How it goes, in a line."""
    told = answer.content
    if answer.stage == "taken":
        return str(told.get("words", ""))
    if answer.stage != "running":
        return ""
    if "budget" not in told:
        return str(told.get("doing", told.get("words", "")))
    counts = told.get("trials", {})
    ended = sum(count for state, count in counts.items() if state in ("complete", "pruned", "failed"))
    parts = [f"{ended} of {told['budget']} trials", f"{counts.get('running', 0)} under way"]
    if counts.get("failed"):
        parts.append(f"{counts['failed']} failed")
    if isinstance(best := told.get("best"), dict):
        parts.append(f"best {told.get('metric')} {best['value']:.4g} (trial {best['trial']})")
    if isinstance(trouble := told.get("trouble"), dict):
        parts.append(f"worker {trouble['worker']}: {trouble['words']}")
    return ", ".join(parts)


def _say(answer: Answer) -> None:
    """Print the last word.

    Raises:
        Told: It is of something that went wrong.
    """
    words = str(answer.content.get("words", ""))
    if reason := answer.content.get("reason"):
        words = f"{words}\n{answer.content.get('state', 'ended')}: {reason}".strip()
    code = answer.content.get("exit_code", 0 if answer.stage == "ended" else 2)
    if code or answer.stage == "refused":
        raise Told(words or "refused", int(code) or 2)
    typer.echo(words)

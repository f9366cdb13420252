"""`searchlab audit STUDY`: whether MLflow has what the storage has."""

from __future__ import annotations

import typer

from searchlab.cli import app
from searchlab.cli._options import Storage, StudyName

MOST = 20
"""Differences that are shown."""


@app.command()
def audit(study: StudyName, storage: Storage = None) -> None:
    """Compare the storage, the outbox and MLflow, trial by trial and point by point."""
    from searchlab.errors import StudyConflict
    from searchlab.runner import deliver
    from searchlab.runner.home import Home

    found = deliver.audit(study, Home.find(), storage)
    typer.echo(f"storage   {found.trials} trials have ended          sha256 {found.storage_digest or 'none'}")
    typer.echo(f"outbox    {found.records} records delivered, {found.waiting} waiting, {found.refused} refused")
    typer.echo(f"MLflow    {found.runs} runs of trials             sha256 {found.tracked_digest or 'none'}")
    if found.is_equal:
        typer.echo("equal")
        return
    for fault in found.faults[:MOST]:
        typer.echo(f"- {fault}")
    if len(found.faults) > MOST:
        typer.echo(f"- and {len(found.faults) - MOST} more")
    advice = f"searchlab sync {study}" + ("" if found.waiting else " --rebuild")
    raise StudyConflict(f"MLflow does not have what the storage of {study!r} has; mend it with:  {advice}")

"""`searchlab restore STUDY`: make again what the storage has lost."""

from __future__ import annotations

from searchlab.cli import app
from searchlab.cli._options import Storage, StudyName


@app.command()
def restore(
    study: StudyName,
    storage: Storage = None,
) -> None:
    """Make a study again that was deleted from the storage, or is an older copy there, from what this machine keeps."""
    import typer

    from searchlab.runner.home import Home
    from searchlab.runner.restore import restore as make_again

    done = make_again(study, Home.find(), storage)
    results = "1 result was" if done.told == 1 else f"{done.told} results were"
    left = f"; {done.waiting} trials wait to be trained" if done.waiting else ""
    typer.echo(f"{results} told to the storage again{left}. Go on with:  searchlab resume {study}")

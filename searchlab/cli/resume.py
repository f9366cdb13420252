"""`searchlab resume STUDY`: go on with a stored study, by name."""

from __future__ import annotations

from searchlab.cli import app
from searchlab.cli._options import (
    FinalTest,
    Fork,
    Plain,
    Storage,
    StudyName,
    Timeout,
    Trials,
    Workers,
    renamed,
    with_budget,
)


@app.command()
def resume(
    study: StudyName,
    storage: Storage = None,
    trials: Trials = None,
    workers: Workers = None,
    timeout: Timeout = None,
    fork: Fork = None,
    final_test: FinalTest = False,
    plain: Plain = False,
) -> None:
    """Go on with a study that was interrupted, or give it more trials."""
    from searchlab.cli._session import drive
    from searchlab.runner.home import Home
    from searchlab.runner.stored import stored_spec

    changes = renamed(study, with_budget(None, trials=trials, workers=workers, timeout=timeout), fork)
    spec = stored_spec(study, Home.find(), storage, overrides=changes)
    drive(spec, final_test=final_test, plain=plain, fork_of=None if fork is None else study)

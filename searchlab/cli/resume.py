"""`searchlab resume STUDY`: go on with a stored study, by name."""

from __future__ import annotations

from searchlab.cli import app
from searchlab.cli._options import FinalTest, Plain, Storage, StudyName, Timeout, Trials, Workers, with_budget


@app.command()
def resume(
    study: StudyName,
    storage: Storage = None,
    trials: Trials = None,
    workers: Workers = None,
    timeout: Timeout = None,
    final_test: FinalTest = False,
    plain: Plain = False,
) -> None:
    """Go on with a study that was interrupted, or give it more trials."""
    from searchlab.cli._session import drive
    from searchlab.runner.home import Home
    from searchlab.runner.stored import stored_spec

    changes = with_budget(None, trials=trials, workers=workers, timeout=timeout)
    drive(stored_spec(study, Home.find(), storage, overrides=changes), final_test=final_test, plain=plain)

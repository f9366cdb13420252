"""`searchlab run STUDY`: search, choose, report; go on where an earlier run of the same study stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from searchlab.cli import app
from searchlab.cli._options import (
    FinalTest,
    Fork,
    Overrides,
    Plain,
    Stack,
    StudyFile,
    Timeout,
    Trials,
    Workers,
    renamed,
    with_budget,
)
from searchlab.errors import SpecError

Priority = Annotated[
    int, typer.Option("--priority", min=-9, max=9, help="With --stack: those of a higher one come first.")
]


@app.command()
def run(
    study: StudyFile,
    overrides: Overrides = None,
    trials: Trials = None,
    workers: Workers = None,
    timeout: Timeout = None,
    fork: Fork = None,
    final_test: FinalTest = False,
    plain: Plain = False,
    stack: Stack = None,
    priority: Priority = 0,
) -> None:
    """Run a study to its end: search, choose the best model, write the report."""
    from searchlab.runner.check import check
    from searchlab.shipped import find
    from searchlab.spec.load import load_study

    changes = with_budget(overrides, trials=trials, workers=workers, timeout=timeout)
    spec = load_study(find(study), overrides=changes)
    origin = spec.name if fork is not None else None
    if fork is not None:
        spec = load_study(find(study), overrides=renamed(spec.name, changes, fork))
    if stack is not None:
        from searchlab.cli._stacked import run as run_there

        if fork is not None:
            raise SpecError("a team's study cannot be forked from here yet; leave --fork out")
        run_there(spec, stack, priority=priority, final_test=final_test)
        return
    check(spec)  # what is wrong with the file is said before anything heavy is loaded
    from searchlab.cli._session import drive

    drive(spec, final_test=final_test, plain=plain, fork_of=origin)

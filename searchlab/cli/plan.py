"""`searchlab plan STUDY`: what it will take, before it is begun."""

from __future__ import annotations

import math

import typer

from searchlab.cli import app
from searchlab.cli._options import Overrides, StudyFile, Trials, with_budget


@app.command()
def plan(study: StudyFile, overrides: Overrides = None, trials: Trials = None) -> None:
    """Try the corners of the space for two epochs each, and say what the study will take on this machine."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from searchlab.cli._words import duration
    from searchlab.runner.forecast import forecast
    from searchlab.runner.home import Home
    from searchlab.runner.watch import Nobody
    from searchlab.shipped import find
    from searchlab.spec.load import load_study

    changes = with_budget(overrides, trials=trials, workers=None, timeout=None)
    spec = load_study(find(study), overrides=changes)
    console = Console(highlight=False)
    with console.status("trying the corners of the space"):
        told = forecast(spec, Home.find(), Nobody())
    examples = ", ".join(f"{count:,} {part}" for part, count in told.counts.items())
    programs = "no end of programs" if told.shapes is None else f"{told.shapes:,} programs"
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "study": f"{spec.name}: {spec.search.trials} trials of up to {spec.training.epochs} epochs",
        "examples": examples,
        "engine": f"{told.choice.engine} on {told.choice.backend}: {told.choice.reason}",
        "shapes": f"{programs}; about {told.shared:.0f} trials share one",
        "workers": f"{told.workers}, of {told.threads} {'thread' if told.threads == 1 else 'threads'} each",
    }
    for name, words in rows.items():
        table.add_row(Text(name, "bold"), Text(words))
    console.print(table)
    console.print()
    tried = Table("tried", box=None, pad_edge=False)
    for title in ("weights", "first trial", "each further one"):
        tried.add_column(title, justify="right")
    for name, cost in told.costs:
        if cost.fault is None:
            tried.add_row(Text(name), f"{cost.weights:,}", duration(cost.first), duration(cost.next))
        else:
            tried.add_row(Text(name), "–", Text(cost.fault, "red"), "–")
    console.print(tried)
    console.print()
    if math.isnan(told.seconds):
        raise typer.Exit(7)
    ends = [] if spec.search.pruner.name == "none" else ["pruning"]
    ends += [] if spec.training.early_stopping is None else ["early stopping"]
    words = f"About {duration(told.seconds)} in all"
    if ends:
        words += f", less with {' and '.join(ends)}"
    if spec.search.timeout is not None:
        words += f"; no trial begins after {duration(spec.search.timeout)}"
    console.print(f"{words}. Up to {told.disk / 1e6:,.1f} MB of weights and checkpoints at a time.")
    if told.faults:
        console.print(f"{len(told.faults)} of {len(told.costs)} cannot be trained: trials like them will fail.")

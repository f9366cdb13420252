"""`searchlab status [STUDY]`: how far each study is."""

from __future__ import annotations

import typer

from searchlab.cli import app
from searchlab.cli._options import OneStudy, Storage


@app.command()
def status(
    study: OneStudy = None,
    storage: Storage = None,
) -> None:
    """Show how far studies are: trials done, best so far, sealed or opened."""
    from collections import Counter

    from rich.console import Console
    from rich.table import Table

    from searchlab.runner.home import Home
    from searchlab.runner.stored import read_study, study_names

    home = Home.find()
    table = Table("study", "trials", "complete", "pruned", "failed", "best", "test set", box=None, pad_edge=False)
    names = [study] if study else study_names(home, storage)
    for name in names:
        result = read_study(name, home, storage)
        counts = Counter(record.state for record in result.trials)
        finished = counts["complete"] + counts["pruned"] + counts["failed"]
        best = result.best
        table.add_row(
            name,
            f"{finished}/{result.budget}",
            *(str(counts[state]) for state in ("complete", "pruned", "failed")),
            "–" if best is None else f"{result.objective.metric} {best.value:.4f} (trial {best.trial.number})",
            "sealed" if result.test is None else f"opened {result.test.openings}×",
        )
    if names:
        Console(highlight=False).print(table)
    else:
        typer.echo(f"no studies in {home.folder} yet; start one:  searchlab run digits_cnn")

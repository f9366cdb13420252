"""`searchlab trials STUDY`: every trial as a table, on the screen or in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from searchlab.cli import app
from searchlab.cli._options import Storage, StudyName


@app.command()
def trials(
    study: StudyName,
    storage: Storage = None,
    csv: Annotated[Optional[Path], typer.Option("--csv", help="Write a CSV file.")] = None,  # noqa: UP045
    parquet: Annotated[Optional[Path], typer.Option("--parquet", help="Write a Parquet file.")] = None,  # noqa: UP045
    top: Annotated[int, typer.Option("--top", min=1, help="How many to show, best first.")] = 20,
) -> None:
    """Show the trials of a study, best first; --csv and --parquet write all of them."""
    from searchlab.reports.table import to_csv, trials_frame
    from searchlab.runner.home import Home
    from searchlab.runner.stored import read_study

    result = read_study(study, Home.find(), storage)
    if csv is not None or parquet is not None:
        frame = trials_frame(result)
        if csv is not None:
            csv.write_text(to_csv(frame), encoding="utf-8")
        if parquet is not None:
            frame.to_parquet(parquet, index=False)
        for path in (csv, parquet):
            if path is not None:
                typer.echo(f"{len(frame)} trials written to {path}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from searchlab.cli._progress import configuration
    from searchlab.reports.gpu import gpu_lines, is_measured, texts

    console = Console(highlight=False)
    varied = frozenset(name for record in result.trials for name in record.trial.params.values)
    varied = frozenset(
        name for name in varied if len({record.trial.params.values.get(name, "–") for record in result.trials}) > 1
    )
    measured = ("GPU busy", "MiB", "Wh") if is_measured(result.trials) else ()
    table = Table(
        "trial", result.objective.metric, "state", "epochs", *measured, "configuration", box=None, pad_edge=False
    )
    sign = -1.0 if result.objective.direction == "maximize" else 1.0
    order = sorted(
        result.trials,
        key=lambda record: (record.state != "complete", record.value is None, sign * (record.value or 0.0)),
    )
    for record in order[:top]:
        table.add_row(
            str(record.trial.number),
            "–" if record.value is None else f"{record.value:.4f}",
            record.state,
            str(record.result.epochs if record.result else 0),
            *(texts(record) if measured else ()),
            Text(configuration(record.trial.params, varied, max(20, console.width - (63 if measured else 40)))),
        )
    console.print(table)
    for line in gpu_lines(result.trials):
        console.print(line, markup=False)
    if len(order) > top:
        console.print(f"… and {len(order) - top} more: --top {len(order)}, --csv FILE or --parquet FILE", style="dim")

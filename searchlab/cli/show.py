"""`searchlab show STUDY`: the search space as a tree, with its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from searchlab.cli import app
from searchlab.cli._options import Overrides, StudyFile

if TYPE_CHECKING:
    from rich.console import Console

    from searchlab.spec import StudySpec


@app.command()
def show(
    study: StudyFile,
    overrides: Overrides = None,
    build: Annotated[bool, typer.Option("--build", help="Build the models at the corners of the space.")] = False,
    engines: Annotated[bool, typer.Option("--engines", help="Measure what each engine takes for this study.")] = False,
) -> None:
    """Show the search space as a tree; --build prints the models at its corners, --engines what trains how fast."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    from searchlab.runner.check import check
    from searchlab.shipped import find
    from searchlab.space.measure import first_guesses, size
    from searchlab.space.tree import tree
    from searchlab.spec.load import load_study

    spec = load_study(find(study), overrides=tuple(overrides or ()))
    check(spec)
    console = Console(highlight=False)
    count = size(spec.space)
    root = Tree(Text(f"{spec.name}: {'no end of' if count is None else format(count, ',')} configurations", "bold"))
    branches = [root]
    for depth, name, words in tree(spec.space):
        del branches[depth + 1 :]
        branches.append(branches[-1].add(Text.assemble((name, "cyan"), "  ", words)))
    console.print(root)
    guesses = first_guesses(spec.space)
    console.print(f"{len(guesses)} first guesses are tried before the sampler chooses." if guesses else "")
    if build:
        from searchlab.cli._words import say
        from searchlab.runner.corners import corner_summaries
        from searchlab.runner.home import Home

        for lines in corner_summaries(spec, Home.find()):
            console.print()
            say(console, lines)
    if engines:
        _show_engines(console, spec)


def _show_engines(console: Console, spec: StudySpec) -> None:
    """Measure every engine that can serve the study, and say which one `engine: auto` takes."""
    from rich.table import Table

    from searchlab.runner.calibration import known, measure, trials_a_shape
    from searchlab.runner.engines import choose
    from searchlab.runner.home import Home
    from searchlab.runner.lab import assemble, families_of
    from searchlab.runner.watch import Nobody

    lab = assemble(spec, Home.find(), Nobody())
    table = Table(box=None, pad_edge=False)
    for title in ("engine", "backend", "together", "start", "first trial", "further trial", "trials/min, 1 worker"):
        table.add_column(title, justify="left" if title in ("engine", "backend") else "right")
    with console.status("measuring"):
        for cost in measure(lab):
            seconds = (f"{number:.2f} s" for number in (cost.start, cost.first, cost.next))
            table.add_row(cost.engine, cost.backend, str(cost.together), *seconds, f"{60 / cost.next:.0f}")
    console.print(table)
    shared = trials_a_shape(spec)
    choice = choose(
        spec.training.engine,
        plan=spec.training,
        families=families_of(spec),
        measured=known(spec, lab.home),
        trials_a_shape=shared,
    )
    console.print(f"About {shared:.0f} trials of this study share a traced program.")
    console.print(f"{spec.training.engine}: {choice.engine} ({choice.reason})")

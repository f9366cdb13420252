"""`searchlab show STUDY`: the search space as a tree, with its size."""

from __future__ import annotations

from typing import Annotated

import typer

from searchlab.cli import app
from searchlab.cli._options import Overrides, StudyFile


@app.command()
def show(
    study: StudyFile,
    overrides: Overrides = None,
    build: Annotated[bool, typer.Option("--build", help="Build the models at the corners of the space.")] = False,
) -> None:
    """Show the search space as a tree; --build prints the models at its corners."""
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

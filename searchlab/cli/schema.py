"""`searchlab schema`: JSON Schema of study and space files, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from searchlab.cli import app


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(metavar="study|space", help="Which files it describes.")] = "study",
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="A file instead of the screen.")] = None,  # noqa: UP045
) -> None:
    """Print the JSON Schema of study files or of space files.

    In VS Code (YAML extension): write it to a file and begin the study with
    `# yaml-language-server: $schema=study.schema.json`.
    """
    from searchlab.atomic import write_text
    from searchlab.errors import UnknownName
    from searchlab.runner.schema import space_schema, study_schema

    known: dict[str, Literal[True]] = {"study": True, "space": True}
    if kind not in known:
        raise UnknownName.among(list(known), kind="schema", name=kind)
    text = json.dumps(study_schema() if kind == "study" else space_schema(), indent=2)
    if output is None:
        typer.echo(text)
    else:
        write_text(output, text + "\n")

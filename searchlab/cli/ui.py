"""`searchlab ui`: the MLflow pages of the embedded store, on this machine only."""

from __future__ import annotations

from typing import Annotated

import typer

from searchlab.cli import app


@app.command()
def ui(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where to listen, on loopback only.")] = 5000,
) -> None:
    """Open the MLflow pages of the embedded store; ends with Ctrl-C."""
    import os
    import subprocess
    import sys

    from searchlab.errors import ServiceError
    from searchlab.runner.home import Home
    from searchlab.tracking.mlflow.ui import ui_command

    home = Home.find()
    if not (home.folder / "mlflow.db").exists():
        raise ServiceError(f"there is nothing to show in {home.folder} yet; first:  searchlab run digits_cnn")
    typer.echo(f"http://127.0.0.1:{port}   (Ctrl-C ends it)")
    command = ui_command(None, home=home.folder, port=port)
    assert command is not None  # the embedded store has no server of its own
    arguments, environment = command
    try:
        sys.exit(subprocess.call(arguments, env={**os.environ, **environment}))
    except KeyboardInterrupt:
        sys.exit(0)

"""`searchlab worker [STUDY]`: train trials of a study that runs elsewhere, or of whatever a team has submitted."""

from __future__ import annotations

from searchlab.cli import app
from searchlab.cli._options import OneStudy, Plain, Storage, Timeout, Workers, with_budget


@app.command()
def worker(
    study: OneStudy = None,
    storage: Storage = None,
    workers: Workers = None,
    timeout: Timeout = None,
    plain: Plain = False,
) -> None:
    """Help a study that another `run` leads: train its trials here too, until none is left.

    Without STUDY serve a team: whatever study of the queue in --storage needs a worker most, until stopped.
    """
    if study is None:
        _serve(storage, workers)
        return
    from rich.console import Console

    from searchlab import cli
    from searchlab.cli._progress import Progress
    from searchlab.cli._words import say
    from searchlab.errors import AllTrialsFailed, Interrupted
    from searchlab.runner.home import Home
    from searchlab.runner.session import join
    from searchlab.runner.stored import stored_spec

    home = Home.find()
    spec = stored_spec(study, home, storage, overrides=with_budget(None, trials=None, workers=workers, timeout=timeout))
    cli.is_hasty = True
    console = Console(highlight=False)
    varied = frozenset(parameter.name for parameter in spec.space.varied)
    with Progress(console, varied=varied, plain=plain or None) as progress:
        joined = join(spec, home, progress)
    words = "1 trial was" if joined.trials == 1 else f"{joined.trials} trials were"
    say(console, (f"{words} trained here; {joined.left} of {study!r} are left to be asked for.",))
    again = f"searchlab worker {study}"
    if joined.ending == "interrupted":
        raise Interrupted(f"interrupted; nothing finished was lost. Go on with:  {again}")
    if joined.ending == "paused":
        raise AllTrialsFailed(f"paused: {joined.pause_reason}. When it is mended:  {again}")


def _serve(storage: str | None, workers: int | None) -> None:
    """Serve the queue of `storage`.

    Raises:
        SpecError: It is not said where the queue is.
    """
    import logging

    from rich.console import Console

    from searchlab import cli
    from searchlab.cli._progress import Progress
    from searchlab.errors import SpecError
    from searchlab.runner.home import Home
    from searchlab.runner.serve import Server
    from searchlab.spec import StudySpec

    if storage is None:
        raise SpecError("which study? `searchlab worker STUDY`; a team's queue needs --storage, or SEARCHLAB_STORAGE")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cli.is_hasty = True
    console = Console(highlight=False)

    def watching(spec: StudySpec) -> Progress:
        varied = frozenset(parameter.name for parameter in spec.space.varied)
        return Progress(console, varied=varied, plain=True)

    Server(Home.find(), storage, watching, workers=workers).serve()

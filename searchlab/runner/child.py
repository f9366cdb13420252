"""What a child does: load Keras and the data once, then train one cohort after another.

A child knows the folder of the search data and nothing else of the study's files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from searchlab.data import SearchSplits
from searchlab.data.prepare import load_search
from searchlab.executors import Channel
from searchlab.records import TrialResult
from searchlab.runner.finish import finish
from searchlab.runner.messages import Epochs, Finish, Idle, Job, Ready, Setup, Verdict
from searchlab.tasks import TASKS, Arrays
from searchlab.training import ENGINES, Progress


def main(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Serve `channel` (see `messages`) until it closes; `setup` is a `Setup`."""
    given = cast(Setup, setup)
    plan = given["plan"]
    encoding = TASKS.get(plan.task).restore(given["encoding"])
    _, examples = load_search(Path(given["data"]))
    splits: SearchSplits[Arrays] = SearchSplits(
        train=encoding.encode(examples.train), validation=encoding.encode(examples.validation)
    )
    engine = ENGINES.get(given["engine"])
    from searchlab.training import runtime  # loads Keras

    channel.send(Ready(runtime.versions(), runtime.backend(), runtime.device_names()))
    while True:
        try:
            job = channel.receive()
        except EOFError:
            return
        if isinstance(job, Finish):
            channel.send(finish(job, plan, encoding, examples.validation))
            continue
        assert isinstance(job, Job), job
        _serve(channel, engine.train(job.cohort, plan, encoding, splits), prunes=given["prunes"])
        channel.send(Idle())


def _serve(channel: Channel, progress: Progress, *, prunes: bool) -> None:
    """Pass on what the engine yields, and the supervisor's verdicts back to it."""
    try:
        report = next(progress)
        while True:
            stop: frozenset[int] = frozenset()
            if isinstance(report, TrialResult):
                channel.send(report)
            else:
                channel.send(Epochs(report))
                if prunes:
                    verdict = channel.receive()
                    assert isinstance(verdict, Verdict), verdict
                    stop = verdict.stop
            report = progress.send(stop)
    except StopIteration:
        return

"""What a child does: load Keras and the data once, then train one cohort after another.

A child knows the folder of the search data and nothing else of the study's files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import psutil

from searchlab.data import SearchSplits
from searchlab.data.prepare import load_search
from searchlab.executors import Channel
from searchlab.failpoints import failpoint
from searchlab.records import TrialResult
from searchlab.runner.finish import finish
from searchlab.runner.messages import Epochs, Finish, Idle, Job, Leave, Left, Ready, Setup, Verdict
from searchlab.runner.telemetry import Complete, own_gpu, watched
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
    from searchlab.training import frozen, runtime  # load Keras

    gpu = own_gpu()
    failpoint("child.ready")
    channel.send(Ready(runtime.versions(), runtime.backend(), runtime.device_names()))
    while True:
        try:
            job = channel.receive()
        except EOFError:
            return
        if isinstance(job, Finish):
            channel.send(finish(job, plan, encoding, examples.validation))
        elif isinstance(job, Job):
            progress = frozen.train(engine, job.cohort, plan, encoding, splits)
            with watched(job.cohort, gpu) as complete:
                is_leaving = _serve(channel, progress, prunes=given["prunes"], complete=complete)
            if is_leaving:
                return
            channel.send(Idle(psutil.Process().memory_info().rss))
        elif isinstance(job, Leave):
            channel.send(Left())
            return
        else:
            raise AssertionError(f"the supervisor said {job!r}")


def _serve(channel: Channel, progress: Progress, *, prunes: bool, complete: Complete) -> bool:
    """Pass on what the engine yields, and the supervisor's verdicts back to it; whether the child was asked to leave.

    Results are passed on as `complete` makes them.

    An engine whose progress is closed keeps checkpoints of what it trains.
    """
    is_leaving = False
    with contextlib.closing(progress):
        with contextlib.suppress(StopIteration):
            report = next(progress)
            while True:
                stop: frozenset[int] = frozenset()
                if isinstance(report, TrialResult):
                    failpoint("child.result")
                    channel.send(complete(report))
                else:
                    failpoint("child.epoch")
                    channel.send(Epochs(report))
                    stop, has_asked = _verdict(channel, prunes=prunes)
                    is_leaving = is_leaving or has_asked
                    if is_leaving and not stop:
                        break
                report = progress.send(stop)
    if is_leaving:
        channel.send(Left())
    return is_leaving


def _verdict(channel: Channel, *, prunes: bool) -> tuple[frozenset[int], bool]:
    """Which trials stop, where there are verdicts, and whether the child was asked to leave."""
    is_leaving = False
    while prunes or channel.has_mail():
        letter = channel.receive()
        if isinstance(letter, Verdict):
            return letter.stop, is_leaving
        assert isinstance(letter, Leave), letter
        is_leaving = True
    return frozenset(), is_leaving

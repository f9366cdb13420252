"""What searchlab adds: to long trials, around a whole run, and for each trial that MLflow is told of.

    python -m benchmarks.overhead [--task digits_cnn_32] [--engine fit] [--trials 4] [--epochs 20] [--rounds 3]

*Long trials.* A study with one worker is run, then its very trials (same parameters, same seeds) are trained by the
engine alone, in a loop in one process.  Compared is the time from the first trial's start to the last one's end, which
start-up does not touch; give `--epochs` so that a trial takes five seconds or more.

*A whole run.* The same two processes from their start to their end: what remains is searchlab's fixed cost.

*MLflow.* Processor time for each of some hundred trials that are told to the embedded store as fast as it takes them,
written in one piece and through MLflow's client.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.contenders import Order, command
from benchmarks.process import watch
from benchmarks.tasks import TASKS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, default="digits_cnn_32")
    parser.add_argument("--engine", default="fit")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--told", type=int, default=300, help="trials that MLflow is told of")
    parser.add_argument("--only", choices=["trials", "mlflow"], help="only one of the two")
    parser.add_argument("--bare", type=Path, metavar="HOME", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        _bare(arguments.bare, arguments.engine)
        return
    if arguments.only != "mlflow":
        with tempfile.TemporaryDirectory(prefix="searchlab-bench-") as folder:
            _long_trials(arguments, Path(folder))
    if arguments.only != "trials":
        _mlflow(arguments.told)


def _long_trials(arguments: argparse.Namespace, place: Path) -> None:
    within, walls, costs = [], [], []
    for turn in range(1, arguments.rounds + 1):
        order = Order(TASKS[arguments.task], "value", arguments.trials, arguments.epochs, seed=turn)
        folder = place / str(turn)
        folder.mkdir()
        ours = watch(command(f"searchlab:{arguments.engine}@1", order, folder), folder)
        if ours.returncode:
            sys.exit(ours.tail)
        inside = _span(folder / "home")
        bare = [sys.executable, "-m", "benchmarks.overhead", "--engine", arguments.engine]
        alone = watch([*bare, "--bare", str(folder / "home")], folder)
        if alone.returncode:
            sys.exit(alone.tail)
        seconds = float(alone.tail.split()[-1])
        within.append(100 * (inside / seconds - 1))
        walls.append(ours.seconds - alone.seconds)
        costs.append(ours.cpu_seconds - alone.cpu_seconds)
        print(
            f"round {turn}: {arguments.trials} trials in {inside:.2f} s under searchlab, {seconds:.2f} s by the engine "
            f"alone ({within[-1]:+.1f} %); the whole run {ours.seconds:.2f} s beside {alone.seconds:.2f} s",
            flush=True,
        )
    print(f"from the first trial's start to the last one's end: {_range(within, '%')} over the bare engine loop")
    print(
        f"the whole run: {_range(walls, 's')} of wall time and {_range(costs, 's')} of processor time more than a "
        "process that only trains"
    )


def _bare(home: Path, engine: str) -> None:
    """Train the trials of the study in `home` once more, by the engine alone; print the seconds from first to last."""
    from searchlab.data import SearchSplits
    from searchlab.data.prepare import load_search
    from searchlab.records import Cohort
    from searchlab.runner.home import Home
    from searchlab.runner.lab import plan_of
    from searchlab.runner.slots import slots
    from searchlab.runner.stored import open_study, stored_spec
    from searchlab.tasks import TASKS
    from searchlab.training import ENGINES

    place = Home.find(home)
    study, spec = open_study("bench", place, None), stored_spec("bench", place, None)
    folder = place.study("bench").folder
    encoding = TASKS.get(spec.task).restore(json.loads((folder / "encoding.json").read_text()))
    _, examples = load_search(Path(json.loads((folder / "data.json").read_text())["folder"]))
    splits = SearchSplits(encoding.encode(examples.train), encoding.encode(examples.validation))
    trainer = ENGINES.get(engine)
    os.environ.update(slots(1)[0].environment)  # the same threads as a child's
    from searchlab.training import runtime  # loads Keras

    runtime.device_names()
    with tempfile.TemporaryDirectory() as weights:
        plan = replace(plan_of(spec, study.objective, place), weights_folder=weights)
        began = time.perf_counter()
        for record in study.records():
            progress = trainer.train(Cohort((record.trial,)), plan, encoding, splits)
            with contextlib.suppress(StopIteration):
                next(progress)
                while True:
                    progress.send(frozenset())
        print(time.perf_counter() - began)


def _span(home: Path) -> float:
    """Seconds from the first start to the last end of the trials of the study in `home`."""
    from searchlab.runner.home import Home
    from searchlab.runner.stored import open_study

    records = open_study("bench", Home.find(home), None).records()
    return max(record.finished or 0.0 for record in records) - min(record.started or 0.0 for record in records)


def _mlflow(count: int) -> None:
    """Milliseconds a trial, by its epochs and by the way it is written."""
    from searchlab.tracking.mlflow import tables

    print("\nMLflow, milliseconds a trial with six metrics an epoch, in a thread of the supervisor")
    print("epochs   in one piece: processor    wall   through the client: processor    wall")
    known = tables.FINGERPRINTS
    for epochs in (5, 20, 100):
        straight = _told(count, epochs)
        tables.FINGERPRINTS = frozenset()
        ordinary = _told(max(20, count // 10), epochs)
        tables.FINGERPRINTS = known
        print(
            f"{epochs:6}   {straight[0]:23.1f}  {straight[1]:6.1f}  {ordinary[0]:29.1f}  {ordinary[1]:6.1f}", flush=True
        )


def _told(count: int, epochs: int) -> tuple[float, float]:
    """Milliseconds of processor and of wall time for each of `count` trials."""
    from searchlab.records import Epoch, Objective, Trial, TrialRecord, TrialResult
    from searchlab.space import Params
    from searchlab.tracking import TRACKERS, DataFacts, StudyStart

    objective = Objective("val_accuracy", "maximize")
    start = StudyStart(
        "told", "00000000-0000-4000-8000-000000000007", objective, count, 0, DataFacts("digits", "0" * 16)
    )
    metrics = {"loss": 0.5, "accuracy": 0.5, "val_loss": 0.5, "val_accuracy": 0.5, "total_loss": 0.6}
    with tempfile.TemporaryDirectory() as folder:
        session = TRACKERS.get("mlflow").open(None, experiment="told", home=Path(folder))
        session.study_started(start)
        session.flush(60)
        wall, cpu = time.perf_counter(), time.process_time()
        for number in range(count):
            trial = Trial(number, Params({"model": "mlp", "optimizer.adam.learning_rate": 0.001}), number)
            session.trial_started(trial)
            for epoch in range(1, epochs + 1):
                session.epoch(Epoch(number, epoch, {**metrics, "learning_rate": 0.001}, 0.01))
            result = TrialResult(number, "complete", 0.5, epochs, epochs, 0.1, metrics, summary="x" * 2000)
            session.trial_finished(TrialRecord(trial, "complete", 0.5, result, {}, time.time(), time.time()))
        assert session.flush(600)
        spent = (time.process_time() - cpu, time.perf_counter() - wall)
        session.close()
    return 1000 * spent[0] / count, 1000 * spent[1] / count


def _range(values: list[float], unit: str) -> str:
    return f"{statistics.median(values):.1f} {unit} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()

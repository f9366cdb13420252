"""How good are the samplers and pruners?  Regret of searchlab's own `Study` on recorded learning curves.

    python benchmarks/search_quality.py --bench FOLDER [--seeds 10] [--budget 20] [METHOD …]

FOLDER holds `bench.py`, a reader of recorded trainings (tasks, space, curve, regret).  A METHOD is a sampler and a
pruner, each with options: `tpe+successive_halving`, `tpe:startup_trials=20+hyperband:reduction_factor=4`.

The budget counts full trainings: a trial that stops after a tenth of its epochs costs a tenth.  Regret 0 is the best
known configuration, 1 the median random one; printed is the mean over tasks of the median over seeds.  Studies are
kept in memory here; everything else is what a user's study does.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import Any

import optuna

from searchlab.records import Objective, TrialResult
from searchlab.search.definition import Definition
from searchlab.search.storage import no_experimental_warnings
from searchlab.search.study import Study
from searchlab.space import Choice, Domain, Float, Int, Parameter, Pick, Space

SAMPLERS = ("random", "tpe")
PRUNERS = ("none", "median", "hyperband", "successive_halving")
CHECKPOINTS = (5, 10, 20, 50)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="METHOD")
    parser.add_argument("--bench", required=True, help="the folder that holds bench.py")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=20, help="full trainings a study")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    methods = arguments.methods or ["+".join(pair) for pair in product(SAMPLERS, PRUNERS)]
    bench = load(arguments.bench)
    tasks = [task for task in bench.tasks() if bench.epochs(task) > 1]
    checkpoints = [point for point in CHECKPOINTS if point <= arguments.budget]
    print(f"{len(tasks)} tasks with learning curves, {arguments.seeds} seeds")
    print("| method |" + "".join(f" @{point} |" for point in checkpoints) + " trials | s/study |")
    print("|---|" + "---|" * (len(checkpoints) + 2))
    with ProcessPoolExecutor(arguments.processes) as pool:
        for method in methods:
            jobs = [(arguments.bench, method, task, seed) for task in tasks for seed in range(arguments.seeds)]
            rows = list(pool.map(study_of, *zip(*jobs, strict=True), [checkpoints] * len(jobs), chunksize=4))
            cells = [
                statistics.mean(
                    statistics.median(row[0][i] for row, job in zip(rows, jobs, strict=True) if job[2] == task)
                    for task in tasks
                )
                for i in range(len(checkpoints))
            ]
            trials, seconds = (statistics.mean(row[j] for row in rows) for j in (1, 2))
            print(f"| {method} |" + "".join(f" {cell:.3f} |" for cell in cells) + f" {trials:.0f} | {seconds:.2f} |")
            sys.stdout.flush()


def load(folder: str) -> Any:
    """The module bench.py of `folder`."""
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module("bench")


def study_of(folder: str, method: str, task: str, seed: int, checkpoints: list[int]) -> tuple[list[float], int, float]:
    """One study: the regret at each checkpoint (in full trainings), its trials and its seconds."""
    bench = load(folder)
    started = time.perf_counter()
    epochs = bench.epochs(task)
    sampler, pruner = (pick(text) for text in method.split("+"))
    definition = Definition(
        space_of(bench.space(task)), Objective("val_loss", "minimize"), sampler, pruner, epochs, seed, {}
    )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with no_experimental_warnings():
        study = Study("", task, optuna.create_study(study_name=f"{task} {seed}"), definition)
    best = float("inf")
    spent, trials = 0, 0
    regrets: list[float] = []
    while len(regrets) < len(checkpoints):
        trial = study.ask()
        trials += 1
        lowest: float | None = None
        state = "complete"
        for epoch, loss in enumerate(bench.curve(task, dict(trial.params.values)), start=1):
            if loss != loss:  # this recorded run ends here
                state = "complete" if lowest is not None else "failed"
                spent += lowest is None
                break
            spent += 1
            lowest = min(float(loss), lowest if lowest is not None else float("inf"))
            best = min(best, lowest)
            while len(regrets) < len(checkpoints) and spent >= checkpoints[len(regrets)] * epochs:
                regrets.append(float(bench.regret(task, best)))
            if study.report(trial.number, epoch, float(loss)):
                state = "pruned"
                break
        study.tell(TrialResult(trial.number, state, lowest))  # type: ignore[arg-type]
    return regrets, trials, time.perf_counter() - started


def pick(text: str) -> Pick:
    """`name:option=3,other=4` as a plugin and its options."""
    name, _, rest = text.partition(":")
    pairs = (pair.split("=") for pair in rest.split(",") if pair)
    return Pick(name, {key: float(number) if "." in number else int(number) for key, number in pairs})


def space_of(rows: dict[str, dict[str, Any]]) -> Space:
    """The benchmark's space as ours."""
    return Space(tuple(Parameter(name, domain(row)) for name, row in rows.items()))


def domain(row: dict[str, Any]) -> Domain:
    """One dimension of the benchmark's space as ours."""
    if row["type"] == "choice":
        return Choice(tuple(row["choices"]))
    if row["type"] == "int":
        return Int(row["low"], row["high"], log=row["log"])
    return Float(float(row["low"]), float(row["high"]), log=row["log"])


if __name__ == "__main__":
    main()

"""What drawing several trials of one shape at once costs a sampler that learns, at equal training.

    python benchmarks/cohorts.py --bench FOLDER [--seeds 20] [--budget 20] [--methods tpe+none …] [RULE …]

FOLDER as in `search_quality.py`.  A RULE is a number (so many trials a cohort from the start on) or `finished/K` (one
for each K finished trials, 16 at most); 1 is one trial after another.  The trials of a cohort are trained side by side,
epoch by epoch.  Widths, depths and batch sizes are shape, all else is values; 7 of the 14 tasks have such parameters.

Printed: regret after so many full trainings (mean over tasks of the median over seeds), and the mean difference to one
after another of the same seed, with its 95 % interval (bootstrap over seeds; regrets above 2 count as 2).
"""

from __future__ import annotations

import argparse
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import optuna
from search_quality import CHECKPOINTS, load, pick, space_of

from searchlab.records import Objective, TrialResult
from searchlab.search import cohorts
from searchlab.search.definition import Definition
from searchlab.search.storage import no_experimental_warnings
from searchlab.search.study import Study

SHAPE = {"batch_size", "num_layers", "max_units", "num_blocks", "num_filters", "filter_size"}
MOST = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", nargs="*", metavar="RULE")
    parser.add_argument("--bench", required=True, help="the folder that holds bench.py")
    parser.add_argument("--methods", nargs="+", default=["tpe+none", "tpe+successive_halving"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=int, default=20, help="full trainings a study")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    bench = load(arguments.bench)
    tasks = [task for task in bench.tasks() if bench.epochs(task) > 1]
    points = [point for point in CHECKPOINTS if point <= arguments.budget]
    print(f"{len(tasks)} tasks with learning curves, {arguments.seeds} seeds")
    print("| method | rule |" + "".join(f" @{point} | difference |" for point in points) + " trials a cohort |")
    print("|---|---|" + "---|---|" * len(points) + "---|")
    with ProcessPoolExecutor(arguments.processes) as pool:
        for method in arguments.methods:
            alone = None
            for rule in ["1", *(arguments.rules or ["4", "8", "16", "finished/8", "finished/4", "finished/2"])]:
                jobs = [(arguments.bench, method, rule, task, s) for task in tasks for s in range(arguments.seeds)]
                rows = list(pool.map(study_of, *zip(*jobs, strict=True), [points] * len(jobs), chunksize=4))
                regrets = np.array([row[0] for row in rows]).reshape(len(tasks), arguments.seeds, len(points))
                alone = regrets if alone is None else alone
                cells = zip(np.median(regrets, axis=1).mean(axis=0), differences(regrets, alone), strict=True)
                trials = statistics.mean(row[1] for row in rows)
                print(f"| {method} | {rule} |" + "".join(f" {r:.3f} | {d} |" for r, d in cells) + f" {trials:.1f} |")
                sys.stdout.flush()


def differences(regrets: np.ndarray, alone: np.ndarray) -> list[str]:
    """The mean difference at each point with its 95 % interval."""
    paired = (np.minimum(regrets, 2.0) - np.minimum(alone, 2.0)).mean(axis=0)  # (seeds, points)
    draws = np.random.default_rng(0).integers(len(paired), size=(2000, len(paired)))
    low, high = np.percentile(paired[draws].mean(axis=1), [2.5, 97.5], axis=0)
    return [f"{m:+.3f} [{a:+.3f}, {b:+.3f}]" for m, a, b in zip(paired.mean(axis=0), low, high, strict=True)]


def study_of(folder: str, method: str, rule: str, task: str, seed: int, points: list[int]) -> tuple[list[float], float]:
    """One study: the regret at each point (in full trainings), and its trials a cohort."""
    bench = load(folder)
    kind, _, each = rule.partition("/")
    cohorts.size = lambda finished, most: max(1, min(most, finished // int(each) if each else int(kind)))
    epochs = bench.epochs(task)
    sampler, pruner = (pick(text) for text in method.split("+"))
    space = space_of(bench.space(task))
    definition = Definition(space, Objective("val_loss", "minimize"), sampler, pruner, epochs, seed, {})
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with no_experimental_warnings():
        study = Study("", task, optuna.create_study(study_name=f"{task} {seed}"), definition)
    best, spent = float("inf"), 0
    sizes: list[int] = []
    regrets: list[float] = []
    while len(regrets) < len(points):
        cohort = study.ask_cohort(MOST, left=10**6, is_value=lambda name: name not in SHAPE)
        sizes.append(len(cohort.trials))
        curves = {trial.number: bench.curve(task, dict(trial.params.values)) for trial in cohort.trials}
        lowest: dict[int, float] = {}
        for epoch in range(1, epochs + 1):
            losses = {number: float(curve[epoch - 1]) for number, curve in curves.items()}
            spent += len(losses)
            for number, loss in losses.items():
                lowest[number] = (
                    min(loss, lowest.get(number, float("inf"))) if loss == loss else lowest.get(number, loss)
                )
                best = min(best, lowest[number])
            while len(regrets) < len(points) and spent >= points[len(regrets)] * epochs:
                regrets.append(float(bench.regret(task, best)))
            ended = {number for number, loss in losses.items() if loss != loss}
            stop = study.judge([(number, epoch, loss) for number, loss in losses.items() if number not in ended])
            for number in stop | ended:
                state = "pruned" if number in stop else "complete" if lowest[number] == lowest[number] else "failed"
                study.tell(TrialResult(number, state, lowest[number]))  # type: ignore[arg-type]
                del curves[number]
        for number in curves:
            study.tell(TrialResult(number, "complete", lowest[number]))
    return regrets, statistics.mean(sizes)


if __name__ == "__main__":
    main()

"""Trials a minute: searchlab beside KerasTuner, Optuna loops and Ray Tune.

    python -m benchmarks.trials_per_minute [--task digits_mlp] [--space value] [--trials 40] [--rounds 5]
    python -m benchmarks.trials_per_minute --contenders searchlab,searchlab:fit,searchlab:fused,keras_tuner_random
    python -m benchmarks.trials_per_minute --contenders searchlab --workers 1 2     # scaling

The same arrays, space, network, epochs and machine; random search without pruning (Hyperband excepted, whose nature
it is).  Each contender is a process of its own with its start-up counted; they take turns.  searchlab logs to MLflow in
a fresh home folder; of the others only the one that says so logs anything.  Figures are added to
benchmarks/results.json, and benchmarks/RESULTS.md is written from it.

Ray Tune takes part when it is installed: `pip install 'ray[tune]'`.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.contenders import RANDOM, with_workers
from benchmarks.turns import add_options, take


def main() -> None:
    """Take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, RANDOM)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--workers", type=int, nargs="+", default=[], help="of searchlab: one contender for each")
    arguments = parser.parse_args()
    sys.exit(take(arguments, with_workers(arguments.contenders, arguments.workers), trials=arguments.trials))


if __name__ == "__main__":
    main()

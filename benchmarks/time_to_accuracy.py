"""Seconds to a stated validation accuracy, with pruning on: each contender as it searches best by its defaults.

    python -m benchmarks.time_to_accuracy [--task digits_cnn] [--space full] [--target 0.98] [--rounds 5]

searchlab's default search (TPE, successive halving) beside KerasTuner's Hyperband and Optuna's TPE with the median
pruner.  The clock starts with the process and stops when a trial ends whose validation accuracy is the target or
more; the process is ended then.  A contender that spends its trials first has not reached it, and the report says so.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.contenders import PRUNING, with_workers
from benchmarks.turns import add_options, take


def main() -> None:
    """Take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, PRUNING)
    parser.add_argument("--target", type=float, help="validation accuracy; default: the task's own")
    parser.add_argument("--most", type=int, default=100, help="trials after which a contender gives up")
    parser.add_argument("--workers", type=int, nargs="+", default=[], help="of searchlab: one contender for each")
    arguments = parser.parse_args()
    names = with_workers(arguments.contenders, arguments.workers)
    sys.exit(take(arguments, names, trials=arguments.most, prunes=True, target=arguments.target))


if __name__ == "__main__":
    main()

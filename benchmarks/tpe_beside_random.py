"""TPE beside its random twin on a real study: the same space, data and budget, several seeds, taking turns.

    python benchmarks/tpe_beside_random.py [--study digits_cnn] [--seeds 5] [--trials 40]

For each seed the study is run twice, once with each sampler (both try the first guesses first, both prune alike).
Printed for each: the best validation score, the score of that trial on its sealed test set, and the seconds; then the
medians.  Every run has a home folder of its own, so each seal is opened once.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import searchlab


def main() -> None:
    """Take turns, then print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="digits_cnn")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=None)
    arguments = parser.parse_args()
    rows: dict[str, list[tuple[float, float, float]]] = {"tpe": [], "random": []}
    print(f"{'seed':>4}  {'sampler':8} {'validation':>10} {'test':>8} {'seconds':>8} {'epochs':>7}", flush=True)
    for seed in range(arguments.seeds):
        for sampler in rows:
            changes = [f"seed={seed}", f"search.sampler={sampler}", "tracking.enabled=false"]
            if arguments.trials is not None:
                changes.append(f"search.trials={arguments.trials}")
            with tempfile.TemporaryDirectory() as home:
                started = time.perf_counter()
                result = searchlab.load(arguments.study, *changes).run(home=Path(home))
                seconds = time.perf_counter() - started
                score = result.final_test()
            assert result.best is not None and result.best.value is not None
            metric = "test_" + result.study.objective.metric.removeprefix("val_")
            rows[sampler].append((result.best.value, score.metrics[metric], seconds))
            epochs = sum(record.result.epochs for record in result.study.trials if record.result)
            test = score.metrics[metric]
            row = f"{seed:4}  {sampler:8} {result.best.value:10.4f} {test:8.4f} {seconds:8.0f} {epochs:7}"
            print(row, flush=True)
    print("\nmedian of", arguments.seeds, "seeds")
    for sampler, found in rows.items():
        validation, test, seconds = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"      {sampler:8} {validation:10.4f} {test:8.4f} {seconds:8.0f}", flush=True)


if __name__ == "__main__":
    main()

"""What a frozen MLflow server costs a study: pairs of one study, beside a server that answers and one that does not.

    python -m benchmarks.frozen_mlflow [--pairs 5] [--trials 24] [--epochs 40] [--engine fit]

The server is stopped (SIGSTOP) before the study starts and goes on (SIGCONT) after its end, so that its connections are
taken by the kernel and never answered.  Then `searchlab sync` delivers, and `searchlab audit` must find no difference.
Within a pair both studies have the same seed, and which one comes first alternates.  Times are of the whole command.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.mlflow_server import Server
from benchmarks.process import watch

STUDY = """
study: {name}
data: {{source: digits}}
task: image_classification
space:
  model: {{cnn: {{depth: 2, width: {{low: 8, high: 16, step: 8}}}}}}
  optimizer: {{adam: {{learning_rate: {{low: 1e-4, high: 1e-2, log: true}}}}}}
search: {{sampler: random, pruner: none, trials: {trials}, objective: val_accuracy}}
training: {{epochs: {epochs}, engine: {engine}}}
execution: {{workers: 1}}
tracking: {{uri: "{uri}"}}
seed: {seed}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--engine", default="fit")
    arguments = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory(prefix="searchlab-bench-") as place, _server(Path(place)) as server:
        _study(arguments, server, Path(place), "warm-up", 0, is_frozen=False)
        for turn in range(1, arguments.pairs + 1):
            order = (False, True) if turn % 2 else (True, False)
            seconds = {}
            for is_frozen in order:
                name = f"pair-{turn}-{'frozen' if is_frozen else 'answering'}"
                seconds[is_frozen] = _study(arguments, server, Path(place), name, turn, is_frozen=is_frozen)
            ratios.append(seconds[True] / seconds[False])
            print(
                f"pair {turn}: {seconds[False]:.1f} s beside a server that answers, {seconds[True]:.1f} s beside a "
                f"frozen one ({100 * (ratios[-1] - 1):+.1f} %)",
                flush=True,
            )
    print(f"median of {len(ratios)} pairs: {100 * (statistics.median(ratios) - 1):+.1f} %")


def _study(
    arguments: argparse.Namespace, server: Server, place: Path, name: str, seed: int, *, is_frozen: bool
) -> float:
    """Seconds of the command."""
    folder = place / name
    folder.mkdir()
    (folder / "study.yaml").write_text(
        STUDY.format(
            name=name,
            trials=arguments.trials,
            epochs=arguments.epochs,
            engine=arguments.engine,
            uri=server.uri,
            seed=seed,
        )
    )
    searchlab = [sys.executable, "-m", "searchlab", "--home", str(folder / "home")]
    if is_frozen:
        server.freeze()
    try:
        done = watch([*searchlab, "run", str(folder / "study.yaml"), "--plain"], folder)
    finally:
        server.thaw()
    if done.returncode:
        sys.exit(done.tail)
    for command in ("sync", "audit"):
        after = watch([*searchlab, command, name], folder)
        if after.returncode:
            sys.exit(f"{name}: {command}: {after.tail}")
        if command == "audit" or is_frozen:
            print(f"  {name}: {' · '.join(line for line in after.tail.splitlines() if line)}", flush=True)
    return done.seconds


@contextmanager
def _server(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.kill()


if __name__ == "__main__":
    main()

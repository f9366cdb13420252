"""Memory of a warm child over many trials: resident bytes after every fiftieth, for one engine after the other.

    python -m benchmarks.memory [--engine fused --engine population] [--space full] [--trials 500]

A study of small perceptrons with one worker, so that one child trains all trials; every shape of the *full* space comes
by again and again.  Trials are short: what a trial leaves behind shows, what it takes while it trains does not hide it.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks.contenders import Order, command
from benchmarks.process import finished_trials
from benchmarks.spaces import SPACES
from benchmarks.tasks import TASKS

EVERY = 50
MIB = 1 << 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", action="append", help="may be given several times; default: fused, population")
    parser.add_argument("--space", choices=SPACES, default="full")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    for engine in arguments.engine or ("fused", "population"):
        task = replace(TASKS["digits_mlp"], epochs=arguments.epochs)
        order = Order(task, arguments.space, arguments.trials, arguments.epochs, seed=0)
        with tempfile.TemporaryDirectory(prefix="searchlab-bench-") as folder:
            place = Path(folder, "study")
            place.mkdir()
            print(f"{engine}: MiB resident after trials", flush=True)
            for count, size in _sizes(command(f"searchlab:{engine}@1", order, place), place):
                print(f"{count:6d} {size / MIB:8.0f}", flush=True)


def _sizes(call: list[str], place: Path) -> list[tuple[int, int]]:
    """The training child's resident bytes, at the first trial and whenever fifty more have ended."""
    home = ["--home", str(place / "home")]
    at = call.index("searchlab") + 1
    found: list[tuple[int, int]] = []
    done = 0
    with subprocess.Popen([*call[:at], *home, *call[at:]], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            ended = len(finished_trials(line.strip(), 0.0))
            if ended and (done == 0 or done // EVERY < (done + ended) // EVERY):
                found.append((done + ended, _busiest(process.pid)))
            done += ended
    if process.returncode:
        raise SystemExit(f"the study ended with status {process.returncode}")
    return found


def _busiest(pid: int) -> int:
    """Resident bytes of the process that trains: of all below, the one that has used the processor most."""
    found = [(0.0, 0)]
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found.append((child.cpu_times().user, child.memory_info().rss))
    return max(found)[1]


if __name__ == "__main__":
    main()

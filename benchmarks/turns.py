"""Contenders that take turns, A B C A B C …, so that a drift of the machine's speed touches all alike.

Each finished process is written to the results at once: Ctrl-C loses nothing but the process that was running.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from benchmarks import machine, results
from benchmarks.contenders import RIVALS, Order, command, is_known, missing, title
from benchmarks.process import Watched, watch
from benchmarks.spaces import SPACES
from benchmarks.tasks import TASKS

UNKNOWN_ENGINE = "no engine is called"


def add_options(parser: argparse.ArgumentParser, contenders: Sequence[str]) -> None:
    """The options that all measurements in turns share."""
    parser.add_argument("--task", action="append", choices=TASKS, help="may be given several times; default: all")
    parser.add_argument("--space", action="append", choices=SPACES, help="likewise; default: both")
    parser.add_argument("--epochs", type=int, help="of each trial; default: the task's own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contenders", type=_names, default=list(contenders), metavar="NAME,NAME", help=_known())
    parser.add_argument("--results", type=Path, default=results.FILE, help="where figures are added")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave data, studies and outputs there")


def take(
    arguments: argparse.Namespace,
    names: Sequence[str],
    *,
    trials: int,
    prunes: bool = False,
    target: float | None = None,
) -> int:
    """All rounds of all tasks and spaces; the exit status.

    With `prunes`, a process ends when it reaches `target`, or the task's own where that is None.
    """
    session = results.Session(
        commit=machine.commit(),
        code=machine.code(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        command=_command(sys.argv),
        machine=machine.facts(),
    )
    left = _at_hand(names)
    status = 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no process is left behind then either
    try:
        with _folder(arguments.keep) as place:
            for order, name in product(_orders(arguments, trials, prunes), names):
                if name not in left:
                    continue
                goal = (target or order.task.target) if prunes else None
                watched = _watched(name, order, place, goal)
                label = f"{order.task.name} {order.space} round {order.seed}: {title(name):32}"
                if UNKNOWN_ENGINE in watched.tail:
                    print(f"{label} skipped: {watched.tail.strip().splitlines()[-1]}", flush=True)
                    left.remove(name)
                elif _failed(watched, trials, goal):
                    print(f"{label} FAILED ({watched.returncode})\n{watched.tail}", flush=True)
                    status = 1
                else:
                    run = results.Run.of(watched, name, order, goal)
                    results.add(arguments.results, session, run)
                    print(f"{label} {results.in_a_line(run)}", flush=True)
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", flush=True)
        status = 130
    results.render(arguments.results)
    return status


def _command(words: Sequence[str]) -> str:
    """What one would type to measure the same, without the places of this machine."""
    kept = [f"benchmarks.{Path(words[0]).stem}"]
    rest = iter(words[1:])
    for word in rest:
        if word in ("--keep", "--results"):
            next(rest, None)
        elif not word.startswith(("--keep=", "--results=")):
            kept.append(word)
    return shlex.join(["python", "-m", *kept])


def _orders(arguments: argparse.Namespace, trials: int, prunes: bool) -> Iterator[Order]:
    """Round by round through all tasks and spaces, so that whoever stops early has measured all alike."""
    names = (arguments.task or TASKS, arguments.space or SPACES)
    for turn, name, space in product(range(1, arguments.rounds + 1), *names):
        task = TASKS[name]
        yield Order(task, space, trials, arguments.epochs or task.epochs, seed=turn, prunes=prunes)


def _watched(name: str, order: Order, place: Path, goal: float | None) -> Watched:
    folder = place / f"{order.task.name}-{order.space}-{order.seed}-{name.replace(':', '-')}"
    if folder.exists():
        shutil.rmtree(folder)  # kept from another time: every home is fresh
    folder.mkdir()
    return watch(command(name, order, folder), folder, target=goal)


def _failed(watched: Watched, trials: int, goal: float | None) -> bool:
    """Whether the process broke down: a status but 0, or trials that never ended; one that met its goal was ended."""
    if goal is not None and any(trial.value is not None and trial.value >= goal for trial in watched.trials):
        return False
    return watched.returncode != 0 or len(watched.trials) < trials


def _at_hand(names: Sequence[str]) -> list[str]:
    """`names` without those whose library is missing, who are named."""
    for name in names:
        if library := missing(name):
            print(f"{title(name)} is skipped: {library} is not installed", flush=True)
    return [name for name in names if missing(name) is None]


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="searchlab-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if not is_known(name):
            raise argparse.ArgumentTypeError(f"{name!r} is no contender. {_known()}")
    return names


def _known() -> str:
    return "searchlab, searchlab:ENGINE, searchlab:ENGINE@WORKERS, " + ", ".join(RIVALS)

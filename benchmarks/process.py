"""One process of a contender, watched from outside: time, processor time, memory, and when each trial ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
LOOK = 0.5
"""Seconds between two looks at memory and processor time."""
GRACE = 15.0
"""Seconds that a process has to end after it was asked to."""

RIVAL_LINE = re.compile(r"trial (?P<value>[-.\dnaif]+) (?P<epochs>\d+)$")
GROUP_LINE = re.compile(r"… (?P<count>\d+) more \(\d+ to \d+\): ")
"""What searchlab says of trials that end faster than ten a second."""
SEARCHLAB_LINE = re.compile(r"[✓✂✗?] +\d+ +(?P<value>[-.\d]+|–) +(?P<epochs>\d+) ep ")


@dataclass(frozen=True)
class Finished:
    """A trial, when its line came."""

    at: float
    """Seconds since the process began."""
    value: float | None
    epochs: int | None
    """None where the line told of several trials."""


@dataclass
class Watched:
    """How a process went."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of the process and all that descend from it."""
    peak_bytes: int = 0
    """Resident, summed over the same processes: what they share counts for each."""
    trials: list[Finished] = field(default_factory=list)
    returncode: int = 0
    tail: str = ""
    """The end of what it wrote."""


def finished_trials(line: str, at: float) -> list[Finished]:
    """The trials whose ends `line` tells; none for any other line."""
    group = GROUP_LINE.match(line)
    if group is not None:
        return [Finished(at, None, None)] * int(group["count"])
    found = RIVAL_LINE.match(line) or SEARCHLAB_LINE.match(line)
    if found is None:
        return []
    try:
        value = float(found["value"])
    except ValueError:
        value = None
    return [Finished(at, value, int(found["epochs"]))]


def watch(command: list[str], folder: Path, *, target: float | None = None) -> Watched:
    """Run `command` to its end, or until a trial ends with a value of `target` or more.

    `folder` becomes searchlab's home, and caches are shared with the folders beside it; what the process writes is kept
    there as output.txt.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "SEARCHLAB_HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder.parent / "cache"),  # empty in the first round: nothing was compiled before
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "COLUMNS": "120",
    }
    watched = Watched()
    lines: list[str] = []
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # Ctrl-C comes to us, and we end the group
    )
    over = threading.Event()
    looker = threading.Thread(target=_look, args=(process.pid, watched, over), daemon=True)
    looker.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            trials = finished_trials(line.strip(), time.perf_counter() - started)
            watched.trials += trials
            if target is not None and any(one.value is not None and one.value >= target for one in trials):
                break
        else:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            watched.cpu_seconds = usage.ru_utime + usage.ru_stime
        watched.seconds = time.perf_counter() - started
    finally:
        over.set()
        looker.join()
        _end(process)
        (folder / "output.txt").write_text("".join(lines), encoding="utf-8")
    watched.returncode = process.returncode or 0
    watched.tail = "".join(lines[-40:])
    return watched


def _look(pid: int, watched: Watched, over: threading.Event) -> None:
    """Note the largest memory, and the processor time of all processes that were ever seen."""
    spent: dict[tuple[int, float], float] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        while not over.wait(LOOK):
            resident = 0
            for process in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.Error), process.oneshot():
                    times = process.cpu_times()
                    spent[process.pid, process.create_time()] = times.user + times.system
                    resident += process.memory_info().rss
            watched.peak_bytes = max(watched.peak_bytes, resident)
    over.wait()
    watched.cpu_seconds = max(watched.cpu_seconds, sum(spent.values()))


def _end(process: subprocess.Popen[str]) -> None:
    """End what is left of the process and of all that descend from it, whatever group they moved to."""
    family = []
    if process.returncode is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(process.pid)
            family = [*root.children(recursive=True), root]
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, GRACE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # children that outlived it
    process.wait()
    if process.stdout is not None:
        process.stdout.close()

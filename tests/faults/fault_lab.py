"""A folder in which scripted studies run through the real command line, to be harmed by tests.  Not a test file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import noop_trials
import psutil
from optuna.trial import FrozenTrial

from searchlab.records import TrialRecord
from searchlab.runner.home import Home
from searchlab.search import leases
from searchlab.search.storage import open_storage
from searchlab.search.study import Study

HERE = Path(__file__).parent
MARK = "SEARCHLAB_FAULT_LAB"
"""The environment variable by which every process of a lab is known."""

NAME = "noop"
EPOCHS = 4
LEASE = 2.0
"""Seconds that leases last here."""

STUDY = """
study: {name}
data: {{source: blobs, n: 60, split: {{by: stratified, seed: 0}}}}
task: tabular_classification
space:
  model: {{mlp: {{depth: 1, width: {{low: 4, high: 64}}}}}}
  optimizer: {{adam: {{learning_rate: {{low: 1e-4, high: 1e-1, log: true}}}}}}
search: {{sampler: random, pruner: none, trials: 4, objective: val_accuracy}}
training: {{epochs: {epochs}, engine: noop}}
execution: {{executor: noop, workers: 1, checkpoint_seconds: 0}}
tracking: {{enabled: false}}
seed: 5
"""


class Command:
    """A command of ours that runs, or has run."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.name = name
        self.process = process
        self._folder = folder

    def wait(self, timeout: float = 60.0) -> int:
        """Its exit status, which is the negative number of a signal that killed it."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end:\n{self.said}\n{self.errors}") from None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and to no other process."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    @property
    def said(self) -> str:
        """What it has written to its standard output."""
        return (self._folder / f"{self.name}.out").read_text()

    @property
    def errors(self) -> str:
        """What it has written to its standard error."""
        return (self._folder / f"{self.name}.err").read_text()


class Lab:
    """One study, its processes and what is known of them."""

    def __init__(
        self,
        folder: Path,
        *,
        storage: str | None = None,
        tracking: str = "",
        epochs: int = EPOCHS,
        home: Path | None = None,
    ) -> None:
        self.folder = folder
        self.home = home or folder / "home"
        self.epochs = epochs
        self.commands: list[Command] = []
        self.url = storage or Home(self.home).storage_url
        self.is_tracked = bool(tracking)
        self._mark = uuid.uuid4().hex
        text = STUDY.format(name=NAME, epochs=epochs) + (f"storage: {storage}\n" if storage else "")
        text = text.replace("tracking: {enabled: false}", tracking) if tracking else text
        (folder / "s.yaml").write_text(text)
        self.script()

    def script(self, seconds: float = 0.02, **trials: str) -> None:
        """What trials do from now on, as `noop_trials` says: `_3="segfault@2"`, `every="raise@1!"`."""
        named = {"*" if name == "every" else name.removeprefix("_"): deed for name, deed in trials.items()}
        content = json.dumps({"seconds": seconds, "trials": named})
        (self.folder / "script.part").write_text(content)
        (self.folder / "script.part").rename(self.folder / "script.json")

    def start(
        self, *arguments: str, fail: str = "", once: bool = False, under: Sequence[str] = (), **environment: str
    ) -> Command:
        """Start a command of ours; `fail` names failpoints, `once` has each of them fail one process only.

        `under` are words before it, such as `prlimit --nofile=64`.
        """
        name = f"{len(self.commands):02d}-{arguments[0]}"
        path = os.pathsep.join(map(str, (HERE, HERE / "plugin", HERE / "clock", HERE.parent.parent)))
        given = {
            "PYTHONPATH": path,
            "SEARCHLAB_HOME": str(self.home),
            "SEARCHLAB_LEASE_SECONDS": str(LEASE),
            "SEARCHLAB_FAILPOINT": fail,
            "SEARCHLAB_FAILPOINT_ONCE": str(self.folder) if once else "",
            "NOOP_SCRIPT": str(self.folder / "script.json"),
            "NO_COLOR": "1",
            MARK: self._mark,
        }
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(
                [*under, sys.executable, "-m", "searchlab", *arguments],
                cwd=self.folder,
                env={**os.environ, **given, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.commands.append(Command(name, process, self.folder))
        return self.commands[-1]

    def lead(
        self, *changes: str, fail: str = "", once: bool = False, under: Sequence[str] = (), **environment: str
    ) -> Command:
        """`searchlab run`, with `changes` to the study file."""
        settings = (word for change in changes for word in ("--set", change))
        return self.start("run", "s.yaml", "--plain", *settings, fail=fail, once=once, under=under, **environment)

    def help(self, *, fail: str = "", once: bool = False, **environment: str) -> Command:
        """`searchlab worker`."""
        return self.start("worker", NAME, "--plain", *self.storage, fail=fail, once=once, **environment)

    def resume(self, *words: str, fail: str = "", once: bool = False, **environment: str) -> Command:
        """`searchlab resume`."""
        return self.start("resume", NAME, "--plain", *self.storage, *words, fail=fail, once=once, **environment)

    def with_gpus(self, count: int, *, seen: bool = True) -> dict[str, str]:
        """The environment of a machine that has so many GPUs; `seen`: children can use theirs."""
        tools = self.folder / "tools"
        tools.mkdir(exist_ok=True)
        (tools / "nvidia-smi").write_text("#!/bin/sh\n" + "".join(f"echo {number}\n" for number in range(count)))
        (tools / "nvidia-smi").chmod(0o755)
        path = os.pathsep.join((str(tools), os.environ["PATH"]))
        return {"PATH": path, "CUDA_VISIBLE_DEVICES": "0,1,2,3", "NOOP_DEVICES": "gpu:0" if seen else "cpu:0"}

    def with_clock(self, shift: float) -> dict[str, str]:
        """The environment of a process whose wall clock is `shift` seconds ahead."""
        return {"FAULT_CLOCK_SHIFT": str(shift)}

    @property
    def storage(self) -> tuple[str, ...]:
        """The words by which a command that has no study file finds the storage."""
        return () if self.url == Home(self.home).storage_url else ("--storage", self.url)

    def study(self) -> Study | None:
        """The study as the storage has it; None before it is there."""
        return Study.open(self.url, NAME) if NAME in Study.names(self.url) else None

    def records(self) -> tuple[TrialRecord, ...]:
        """Its trials."""
        study = self.study()
        if study is None:
            return ()
        with closing(study):  # servers have few connections
            return study.records()

    def stored(self) -> list[FrozenTrial]:
        """Its trials as Optuna has them."""
        return open_storage(self.url).get_all_trials(open_storage(self.url).get_study_id_from_name(NAME))

    def leases(self) -> dict[int, str]:
        """Who holds which trial, by the identifiers of the database."""
        engine = open_storage(self.url)._backend.engine  # type: ignore[attr-defined]
        with engine.begin() as connection:
            return {row.trial_id: row.owner for row in connection.execute(leases.LEASES.select())}

    def trained(self) -> list[tuple[int, int, int]]:
        """Every epoch that a child has really come to the end of: (trial, attempt, epoch), in order."""
        log = self.folder / noop_trials.LOG
        lines = map(json.loads, log.read_text().splitlines()) if log.exists() else ()
        return [(line["trial"], line["attempt"], line["epoch"]) for line in lines]

    def processes_of(self, trial: int) -> set[int]:
        """The processes that have trained epochs of `trial`."""
        lines = map(json.loads, (self.folder / noop_trials.LOG).read_text().splitlines())
        return {line["pid"] for line in lines if line["trial"] == trial}

    def times(self) -> list[tuple[int, float]]:
        """When every epoch ended that `trained` has: (attempt, seconds since 1970)."""
        log = self.folder / noop_trials.LOG
        lines = map(json.loads, log.read_text().splitlines()) if log.exists() else ()
        return [(line["attempt"], line["at"]) for line in lines]

    def until(self, holds: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait until `holds()` is true."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"waited for {seconds:g} s\n{self.tails()}"
            time.sleep(0.05)

    def processes(self) -> list[psutil.Process]:
        """Every process that lives and was started here, by whomever."""
        return [process for process in psutil.process_iter() if _environment(process).get(MARK) == self._mark]

    def children_of(self, command: Command) -> list[psutil.Process]:
        """The training processes of a supervisor, without the process that forks them."""
        try:
            below = psutil.Process(command.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        parents = {process.ppid() for process in below if process.is_running()}
        return [process for process in below if process.pid not in parents]

    def tails(self, lines: int = 12) -> str:
        """The ends of all logs, for the words of a failure."""
        logs = [*self.folder.glob("*.err"), *self.folder.glob("*.out"), *self.home.rglob("*.log")]
        ends = {path: path.read_text(errors="replace").splitlines()[-lines:] for path in sorted(logs)}
        return "\n".join(f"--- {path.name}\n" + "\n".join(end) for path, end in ends.items() if end)

    def close(self) -> None:
        """End what is left."""
        for process in self.processes():
            process.kill()
        for command in self.commands:
            command.process.wait(10)


def _environment(process: psutil.Process) -> Mapping[str, str]:
    try:
        return process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
    except psutil.Error:
        return {}

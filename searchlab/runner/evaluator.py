"""The evaluator of a team: takes what users submit, leads their studies, and alone has the raw data and the seal.

Users' requests lie in inboxes (`tracking/mlflow/inbox.py`).  A study that is asked for is checked, its files are
unpacked, and it goes into the queue (`search/queue.py`); each study that has not ended has a process that leads it
(`runner/lead.py`).  Whatever ends this process, the next one finds all of that again.

What users write is not trusted: a study file may name no file but those that came with it and the team's data, and no
environment variable.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from searchlab.config.writer import to_yaml
from searchlab.data.parcels import unpack
from searchlab.errors import SearchlabError, ServiceError, SpecError, StudyBusy, StudyConflict
from searchlab.runner import admission
from searchlab.runner.home import Home
from searchlab.runner.signals import stop_signals
from searchlab.runner.tracked import experiment_of
from searchlab.search.queue import ENDED, Entry, Queue, quota_of
from searchlab.spec import StudySpec
from searchlab.tracking.mlflow.inbox import STUDY_FILE, Inboxes, Request, Stage

PACE = 1.0
"""Seconds between two looks at the inboxes and the queue."""

USERS = 5.0
"""Seconds between two looks for new users."""

LEADERS = 8
"""Studies that are led at a time; others wait."""

GRACE = 40.0
"""Seconds that leaders have for an orderly end."""

REST = 5.0
"""Seconds before a study is led again whose leader has failed."""

CRASHES = 3
"""A study whose leader ended so often without having led it is given up."""

LONGEST_FILE = 4 << 20
"""Bytes of a study file."""

COMMANDS: Mapping[str, tuple[str, ...]] = {"final-test": ("--reopen",), "promote": ("--alias", "--name")}
"""What a user may have done with a study of that user's own, and the options of each."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Team:
    """What the evaluator of a team is told."""

    storage: str
    """Also SEARCHLAB_STORAGE in its environment, as submitted studies have it, and in that of the workers."""
    tracking: str
    """Also SEARCHLAB_TRACKING in both."""
    uploads: Path
    """Where users' files are unpacked."""
    data: Path | None = None
    """The team's own data, which studies may name by their whole path."""
    quotas: str = ""
    """See `quota_of`."""
    worker: tuple[str, str] | None = None
    """Name and password of the workers' account, which is made where it is missing."""


@dataclass
class _Process:
    """A command of ours that runs for a study or a request."""

    process: subprocess.Popen[str]
    output: Path
    crashes: int = 0


@dataclass
class Evaluator:
    """One evaluator; a team has one."""

    team: Team
    home: Home
    _leaders: dict[str, _Process] = field(default_factory=dict)
    _commands: dict[str, _Process] = field(default_factory=dict)
    _crashes: dict[str, int] = field(default_factory=dict)
    _resting: dict[str, float] = field(default_factory=dict)
    _told: dict[str, tuple[Stage, str]] = field(default_factory=dict)
    _looked: float = -1e9
    _is_new: bool = True
    _stops: bool = False

    def serve(self) -> None:
        """Work until asked to stop (Ctrl-C, SIGTERM).

        Raises:
            ServiceError: The storage cannot be reached at the start.
        """
        self.team.uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._inboxes = Inboxes(self.team.tracking)
        with closing(Queue(self.team.storage)) as self._queue, stop_signals(self._stop):
            log.info("the evaluator of %s is ready", self.team.tracking)
            try:
                while not self._stops:
                    for part in (self._look_for_users, self._look_for_requests, self._lead, self._tell, self._reap):
                        self._sure(part)
                    self._rest(PACE)
            finally:
                self._end()

    # Users and what they ask for ---------------------------------------------------------------------------------

    def _look_for_users(self) -> None:
        if time.monotonic() - self._looked < USERS:
            return
        service = self.team.worker
        if service is not None:
            self._inboxes.add(*service)
        self._inboxes.make(without=frozenset() if service is None else frozenset({service[0]}))
        self._looked = time.monotonic()

    def _look_for_requests(self) -> None:
        cut_off: tuple[Request, ...] = ()
        if self._is_new and self._looked > 0.0:  # what an evaluator before this one has begun, and users wait for
            cut_off, self._is_new = self._inboxes.running(), False
        for request in (*cut_off, *self._inboxes.requests()):
            if self._stops:
                return
            try:
                self._take(request)
            except ServiceError:
                raise
            except (SearchlabError, OSError) as error:
                log.info("%s of %s is refused: %s", request.kind, request.user, error)
                code = error.exit_code if isinstance(error, SearchlabError) else 3
                self._inboxes.answer(request.id, "refused", words=str(error), exit_code=code)
            except Exception:  # one request must not end the service for all
                log.exception("a fault of searchlab with %s of %s", request.kind, request.user)
                words = "this is a fault of searchlab, not of yours; the evaluator's log has it"
                self._inboxes.answer(request.id, "refused", words=words, exit_code=70)

    def _take(self, request: Request) -> None:
        """Do what is asked, or begin to.

        Raises:
            SearchlabError: It cannot be done; the message is for the user.
        """
        log.info("%s asks for %s %s", request.user, request.kind, request.study)
        if request.stage == "asking":
            self._say_what_to_send(request)
        elif request.kind == "run":
            self._submit(request)
        elif request.kind == "status":
            self._inboxes.answer(request.id, "ended", words=self._status(), exit_code=0)
        elif request.kind == "stop":
            over = self._owned(request).state in ENDED
            if not over:
                self._queue.become(request.study, "stopped")
            words = f"{request.study} {'has ended before' if over else 'is stopped'}"
            self._inboxes.answer(request.id, "ended", words=words, exit_code=0)
        elif request.kind in COMMANDS:
            self._owned(request)
            self._begin(request)
        else:
            allowed = ", ".join(("run", "stop", "status", *COMMANDS))
            raise SpecError(f"this evaluator knows no request {request.kind!r}. Allowed: {allowed}.")

    def _say_what_to_send(self, request: Request) -> None:
        digests = [str(digest) for digest in request.details.get("digests", ())]
        missing = [digest for digest in digests if not (self.team.uploads / Path(digest).name).is_dir()]
        self._inboxes.answer(request.id, "writing", send=missing)

    def _submit(self, request: Request) -> None:
        with tempfile.TemporaryDirectory(dir=self.team.uploads, prefix=".tmp-") as name:
            folder = Path(name)
            self._inboxes.fetch(request, folder)
            for archive in sorted(folder.glob("*.tar")):
                unpack(archive, archive.stem, self.team.uploads)
            file = folder / STUDY_FILE
            if not file.is_file() or file.stat().st_size > LONGEST_FILE:
                raise SpecError(f"the request came without a study file of {LONGEST_FILE >> 20} MiB at most")
            text = file.read_text(encoding="utf-8")
        spec = self._spec(text, request)
        details = request.details
        priority = details.get("priority", 0)
        entry = Entry(
            study=spec.name,
            owner=request.user,
            spec=to_yaml(spec.resolved()),
            folder=str(self.team.uploads),
            request=request.id,
            priority=min(9, max(-9, priority if isinstance(priority, int) else 0)),
            quota=quota_of(request.user, self.team.quotas),
        )
        followed = [e.request for e in self._queue.entries() if e.study == spec.name and e.request]
        fresh = self._queue.submit(entry)
        for other in followed:
            self._inboxes.answer(other, "ended", words="it was submitted again, and is shown there", exit_code=0)
        self._crashes.pop(spec.name, None)
        if self.team.worker is not None:
            self._inboxes.open_to(self.team.worker[0], experiment_of(spec))
        words = (
            "is in the queue" if fresh.spec == entry.spec else "goes on as it was submitted before, until it has ended"
        )
        self._inboxes.answer(request.id, "taken", words=f"{spec.name} {words}")

    def _spec(self, text: str, request: Request) -> StudySpec:
        """The study file that a user sent, with this team's storage and tracking server.

        Raises:
            SpecError: It is none, or names what it must not.
        """
        if "${" in text:
            raise SpecError("a submitted study may name no environment variable: ${…} would be the evaluator's own")
        folders = [root for root in (self.team.uploads, self.team.data) if root is not None]
        return admission.read(request.study, text, folders=folders)

    def _owned(self, request: Request) -> Entry:
        """The study that a request is about, if it is that user's.

        Raises:
            UnknownName, StudyConflict: There is none, or it is another user's.
        """
        entry = self._queue.entry(request.study)
        if entry.owner != request.user:
            raise StudyConflict(f"the study {entry.study!r} belongs to {entry.owner}")
        return entry

    def _status(self) -> str:
        """All studies and workers, a line each."""
        rows = []
        at_work = self._queue.at_work()
        for entry in self._queue.entries():
            told = entry.progress or {}
            count = sum(worker.study == entry.study for worker in at_work)
            work = f"{count} workers, priority {entry.priority}"
            rows.append(f"{entry.study}  {entry.owner}  {entry.state}  {_counts(told)}  {work}")
        idle = sum(worker.study is None for worker in at_work)
        return "\n".join([*rows, f"{len(at_work)} workers, {idle} without work"])

    # Processes ---------------------------------------------------------------------------------------------------

    def _lead(self) -> None:
        """See that each study that has not ended is led."""
        for entry in self._queue.entries():
            led = self._leaders.get(entry.study)
            if led is not None and (status := led.process.poll()) is not None:
                del self._leaders[entry.study]
                self._bury(entry, led, status)
            elif self._resting.get(entry.study, 0.0) > time.monotonic() or len(self._leaders) >= LEADERS:
                continue
            elif led is None and entry.state not in ENDED:
                self._leaders[entry.study] = self._start(entry.owner, "lead", entry.study)

    def _bury(self, entry: Entry, led: _Process, status: int) -> None:
        if status == 0 or entry.state in ENDED:
            return
        crashes = self._crashes[entry.study] = self._crashes.get(entry.study, 0) + 1
        self._resting[entry.study] = time.monotonic() + REST
        last = led.output.read_text(errors="replace").strip()[-500:]
        log.warning("the leader of %s ended with %d: %s", entry.study, status, last)
        if crashes >= CRASHES and status not in (ServiceError.exit_code, StudyBusy.exit_code):
            words = f"it could not be led, {crashes} times; the last words: {last}"
            self._queue.become(entry.study, "failed", words=words, exit_code=70)

    def _begin(self, request: Request) -> None:
        """Start the command that a request asks for."""
        options: list[str] = []
        for option in COMMANDS[request.kind]:
            value = request.details.get(option.removeprefix("--"))
            if isinstance(value, str) and value:
                options.append(f"{option}={value}")
        self._commands[request.id] = self._start(request.user, request.kind, request.study, *options)
        self._inboxes.answer(request.id, "running", words=f"{request.kind} of {request.study}")

    def _reap(self) -> None:
        for request, command in list(self._commands.items()):
            status = command.process.poll()
            if status is not None:
                words = command.output.read_text(errors="replace").strip()
                self._inboxes.answer(request, "ended", words=words, exit_code=status)
                del self._commands[request]

    def _start(self, user: str, command: str, study: str, *options: str) -> _Process:
        logs = self.home.study(study).logs
        logs.mkdir(parents=True, exist_ok=True)
        output = logs / f"{command}.log"
        roots = admission.roots_of(self.team.uploads, self.team.data)
        with output.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "searchlab", "--home", str(self.home.folder), command, *options, "--", study],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                env={**_without_stack(), admission.ROOTS: roots, "LOGNAME": user},  # who opened the seal, in the ledger
                process_group=0,
            )
        return _Process(process, output)

    def _tell(self) -> None:
        """Tell users how their studies go, where that has changed."""
        for entry in self._queue.entries():
            if not entry.request:
                continue
            told = dict(entry.progress or {})
            stage: Stage = "ended" if entry.state in ENDED and entry.study not in self._leaders else "running"
            content = {"state": entry.state, **told, "words": told.get("words", "") if stage == "ended" else ""}
            if self._told.get(entry.request) != (stage, repr(content)):
                try:
                    self._inboxes.answer(entry.request, stage, **content)
                except ServiceError as error:  # the user may have deleted it
                    log.warning("%s cannot be told of %s: %s", entry.owner, entry.study, error)
                self._told[entry.request] = (stage, repr(content))
                if stage == "ended":
                    self._queue.is_told(entry.study)

    def _sure(self, part: Callable[[], None]) -> None:
        try:
            part()
        except ServiceError as error:
            log.warning("%s", error)
            self._rest(PACE)
        except Exception:  # what one study or request has brought about must not end the service for all
            log.exception("a fault of searchlab, or something in the storage that it did not write")
            self._rest(PACE)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stops:
            time.sleep(0.1)

    def _stop(self) -> None:
        self._stops = True

    def _end(self) -> None:
        """End what was started here; leaders keep what they have got."""
        running = [one.process for one in (*self._leaders.values(), *self._commands.values())]
        for process in running:
            process.terminate()
        until = time.monotonic() + GRACE
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _without_stack() -> dict[str, str]:
    """This process's environment; what it starts does its work itself."""
    return {name: value for name, value in os.environ.items() if name != "SEARCHLAB_STACK"}


def _counts(told: Mapping[str, Any]) -> str:
    counts = told.get("trials") or {}
    done = sum(number for state, number in counts.items() if state in ("complete", "pruned", "failed"))
    best = told.get("best")
    ending = f", best {best['value']:.4g}" if isinstance(best, dict) else ""
    return f"{done} of {told.get('budget', '?')} trials{ending}"

"""What is written down: trackers take the records of a study and keep them where people can look.

A tracker is a projection of the study, never its truth: it may be slow, absent or deleted, and no trial waits for
it.  This wing knows MLflow and neither Keras nor Optuna.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from searchlab.catalog import Catalog
from searchlab.data import Array
from searchlab.records import Epoch, Objective, StudyResult, TestScore, Trial, TrialRecord


@dataclass(frozen=True)
class DataFacts:
    """Which data a study learns from, and how it was split."""

    name: str
    """The source, such as "digits"."""
    digest: str
    """Ours, over the whole content."""
    description: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Examples by part: "train", "validation", "test"."""


@dataclass(frozen=True)
class StudyStart:
    """What is known of a study before its first trial."""

    name: str
    uid: str
    """Names the study for ever, in every process that works on it; runs are recognised by it."""
    objective: Objective
    budget: int
    """How many trials were asked for."""
    seed: int
    data: DataFacts
    description: str = ""
    """One or two sentences for people."""
    resolved: str = ""
    """The study file with everything filled in, as YAML."""
    varied: tuple[str, ...] = ()
    """The labels (`space.label`) of the parameters that vary, in the order of the space."""
    log_scaled: tuple[str, ...] = ()
    """Those of them that are searched on a logarithmic scale."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What a reader should know, as in `StudyResult.facts`: sampler, pruner, versions, …"""
    is_led_elsewhere: bool = False
    """Whether another process leads the study and ends its run; this one only trains some of its trials."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags for every run: "git_commit", "space_digest", "keras", …; they are stored as `searchlab.<key>`."""


@dataclass(frozen=True)
class StoredRun:
    """One run as a tracker has it."""

    uid: str
    name: str
    status: str
    """"RUNNING", "FINISHED", "KILLED" (pruned) or "FAILED"."""
    params: Mapping[str, str]
    metrics: Mapping[str, Sequence[tuple[int, float]]]
    """Every point of every metric: (step, value), ascending."""
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Delivery:
    """How much of what was handed in has arrived."""

    delivered: int = 0
    undelivered: int = 0
    refused: int = 0
    """Records the tracker's server would not take."""
    kept_in: str | None = None
    """The folder that holds the undelivered and the refused ones."""
    reason: str = ""
    """The last error, in one line."""
    unkept: int = 0
    """Those of the undelivered that this machine's disk had no room for either."""

    @property
    def is_complete(self) -> bool:
        """Whether everything arrived."""
        return not (self.undelivered or self.refused)

    def __str__(self) -> str:
        if self.is_complete:
            return f"{self.delivered} records delivered"
        lost = self.undelivered + self.refused
        place = f"; they are kept in {self.kept_in}" if self.kept_in else ""
        if self.undelivered:
            place += "; searchlab sync delivers them later"
        if self.unkept:
            place += f"; the disk did not take {self.unkept}, which searchlab sync --rebuild makes from the storage"
        return f"{lost} records not delivered to the tracking store ({self.reason}){place}"


@dataclass(frozen=True)
class Audit:
    """What the storage, the outbox and the tracker have of a study, and where they differ."""

    trials: int = 0
    """Those that have ended, by the storage."""
    runs: int = 0
    """Attempts of trials, by the tracker."""
    records: int = 0
    """Delivered from this machine."""
    waiting: int = 0
    """Still to be delivered."""
    refused: int = 0
    """Records that the tracker would not take, or that were spoiled."""
    storage_digest: str = ""
    """Over each trial's number, attempt, end, parameters, curve of the objective and final numbers."""
    tracked_digest: str = ""
    """Over the same, as the tracker has it."""
    faults: tuple[str, ...] = ()
    """Each difference in one line."""

    @property
    def is_equal(self) -> bool:
        """Whether nothing is missing, doubled or different."""
        return not (self.faults or self.waiting) and self.storage_digest == self.tracked_digest


@dataclass(frozen=True)
class Release:
    """A study's model, as it is to be offered to others under a name."""

    model: str
    """The name."""
    alias: str
    """By which it is asked for, such as "champion"."""
    trial: int
    sha256: str
    """Of the file that was logged, as the storage has it."""
    card: str
    """What people should know of it, in Markdown."""
    attachments: Mapping[str, bytes | str] = field(default_factory=dict)
    """Files for the study's run, by path, to which the model links."""


@dataclass(frozen=True)
class Registered:
    """Under which version a model is offered."""

    model: str
    version: str
    alias: str
    trial: int
    is_new: bool
    """Whether the version was made just now."""
    before: str | None
    """The version that the alias pointed to before; None where it pointed to nothing."""
    before_of: str
    """What that is the model of, in a few words."""
    page: str
    """Where to look at the version; for an embedded store the part after the host."""

    def among(self, earlier: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """As JSON values, with what is known of `earlier` ones; those whose alias has moved are left out."""
        kept = [one for one in earlier if (one["model"], one["alias"]) != (self.model, self.alias)]
        return [*kept, {name: getattr(self, name) for name in ("model", "version", "alias", "trial")}]


PROMOTED = "promoted"
"""The fact of a study that lists under which names its models are offered, as `Registered.among` gives it."""


class Session(Protocol):
    """One process's line to a tracker.

    Only `flush`, `view_url` and `close` ever wait, and nothing raises for a store out of reach.  What is handed in is
    on this machine's disk when the call returns, and is delivered some time, whatever happens to the process.  Records
    may be handed in again (a resumed study, a repeated message): nothing is written twice.  Times are seconds since
    1970; None means now.
    """

    def study_started(self, start: StudyStart) -> None:
        """Must come first, in every process that works on the study."""

    def left_behind(self) -> tuple[tuple[int, int], ...]:
        """Trials, as (number, attempt), that earlier sessions on this machine began and wrote down no end of.

        Their processes died.  Each is to be told by `trial_lost`, and, where the trial has ended, `trial_finished`.
        """

    def trial_started(self, trial: Trial, *, at: float | None = None) -> None:
        """A trial, or a further attempt of one, begins."""

    def trial_lost(self, trial_number: int, attempt: int) -> None:
        """Nobody works on this attempt any more; one that has ended otherwise stays as it is."""

    def epoch(self, epoch: Epoch, *, attempt: int = 1, at: float | None = None) -> None:
        """One epoch of a trial that was started in this session."""

    def trial_finished(self, record: TrialRecord) -> None:
        """A trial ended; one that was never started here is written down whole."""

    def study_finished(self, result: StudyResult, attachments: Mapping[str, bytes | str] | None = None) -> None:
        """All trials are done (or the study stopped); `attachments` are files by path, such as "figures/slice.png"."""

    def test_scored(self, score: TestScore) -> None:
        """The seal was opened."""

    def log_model(self, model: Path, *, inputs: Array, outputs: Array) -> None:
        """Store the `.keras` file `model`, which stays where it is, as the study's champion.

        `inputs` are a few raw examples (n, …) and `outputs` what the model predicts for them.  Keras is not loaded.
        """

    def view_url(self, timeout: float = 10.0) -> str | None:
        """Where to look at the study's trials side by side; for an embedded store the part after the host.

        None where there is nothing to look at, or the store was not reached within `timeout` seconds.
        """

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything handed in has been tried and delivered, at most `timeout` seconds; whether it was."""

    def close(self, timeout: float = 10.0) -> Delivery:
        """Deliver what can be delivered within `timeout` seconds, keep the rest for later, and say so."""


class Tracker(Protocol):
    """A way to write studies down.  A file in `tracking/` binds one to `TRACKER`."""

    keeps: bool
    """Whether anything is kept at all."""

    def open(self, uri: str | None, *, experiment: str, home: Path) -> Session:
        """A session that writes to `uri`; None is the embedded store in the folder `home`.  Returns at once.

        Raises:
            SpecError: `uri` is none that this tracker can write to.
        """

    def check(self, uri: str | None, *, home: Path) -> str | None:
        """Why `uri` cannot be written to right now, in one line; None when it can.  Waits some seconds at most."""

    def runs(self, uri: str | None, *, experiment: str, home: Path, study_uid: str) -> tuple[StoredRun, ...]:
        """Everything kept of a study, its own run first, then its trials in order.

        Raises:
            ServiceError: The store cannot be reached.
        """

    def audit(
        self, uri: str | None, *, experiment: str, home: Path, start: StudyStart, records: Iterable[TrialRecord]
    ) -> Audit:
        """Compare what the storage has (`records`) with what this tracker and the outbox have.

        Raises:
            ServiceError: The store cannot be reached.
        """

    def rebuild(
        self, uri: str | None, *, experiment: str, home: Path, start: StudyStart, result: StudyResult
    ) -> Delivery:
        """Write again what `audit` finds missing or different.

        Raises:
            ServiceError: The store cannot be reached.
            StudyConflict: A process of this machine works on the study.
        """

    def promote(
        self,
        uri: str | None,
        *,
        experiment: str,
        home: Path,
        start: StudyStart,
        result: StudyResult,
        release: Release,
    ) -> Registered:
        """Offer the study's logged model as `release` says, once, and have its alias point to it.

        Raises:
            ServiceError: The store cannot be reached, or does not let this user do that.
            StudyConflict: The model was not logged, or is another by now; nothing was registered.
            SpecError: Nothing is kept, or the store takes no such name.
        """


TRACKERS: Catalog[Tracker] = Catalog("searchlab.tracking", binds="TRACKER", kind="tracker")

"""The nouns that travel between the wings: plain, frozen, picklable, no live object inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from searchlab.space import Params

Direction: TypeAlias = Literal["minimize", "maximize"]
State: TypeAlias = Literal["waiting", "running", "complete", "pruned", "failed"]
ENDED: tuple[State, ...] = ("complete", "pruned", "failed")
"""The states that a trial does not leave."""

Cause: TypeAlias = Literal["diverged", "infeasible", "memory", "time", "stalled", "lost", "device", "missing", "error"]
"""What is behind a failure, or (time) behind an early end.

The first three are faults of the parameters, and samplers are told so; `lost` and `stalled` trials had other attempts.
`device` is what a trial says whose GPU failed; it is trained elsewhere, and never ends so.  Nor does one that says
`missing`: the weights that it begins with are not here, and the run pauses until they are.
"""


@dataclass(frozen=True)
class Objective:
    """What the search improves: a validation metric and which way is better."""

    metric: str
    """A validation metric by its full name, such as "val_accuracy"."""
    direction: Direction

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether `value` beats `than`; anything finite beats None; NaN and the infinities beat nothing."""
        if value != value or value in (float("inf"), float("-inf")):
            return False
        if than is None:
            return True
        return value > than if self.direction == "maximize" else value < than


@dataclass(frozen=True)
class Trial:
    """One configuration to train."""

    number: int
    params: Params
    seed: int
    """All randomness of the training comes from here; the same in every attempt."""
    attempt: int = 1
    replicate: int = 0
    """How many earlier trials of the study had the same configuration."""


@dataclass(frozen=True)
class Cohort:
    """Trials of one shape that are trained as one piece of work."""

    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the objective has not improved by more than `min_delta` for `patience` epochs."""

    patience: int
    min_delta: float = 0.0


@dataclass(frozen=True)
class Checkpoints:
    """Where trials keep what they need to go on after their process has died."""

    folder: str
    study: str
    """The study's uid: a study of the same name that is begun anew finds nothing here."""
    every: float = 2.0
    """Seconds of training after which the next epoch's end is kept; more where writing is slow.  0 keeps each."""


@dataclass(frozen=True)
class Features:
    """Where the features of frozen backbones are kept, so that they are computed once."""

    folder: str
    data: str
    """The digest of what the search sees."""


@dataclass(frozen=True)
class TrainingPlan:
    """How every trial of a study is trained."""

    task: str
    objective: Objective
    epochs: int
    early_stopping: EarlyStopping | None = None
    precision: str = "float32"
    jit_compile: bool | Literal["auto"] = "auto"
    deterministic: bool = True
    backend: str = "auto"
    """What Keras computes with, as the study says it."""
    weights_folder: str | None = None
    """Where the best weights of each trial go, as `trial-0007.weights.npz`; None keeps none."""
    checkpoints: Checkpoints | None = None
    """None keeps none: a trial that is lost begins anew."""
    features: Features | None = None
    """None computes them in each trial."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Options that name a file, as the study file has them, and as they are here."""
    optimizers: tuple[str, ...] = ()
    """Those that the space may choose, so that a program can be made for all of them at once."""

    def here(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """`options`, those that name a file as it is on this machine."""
        return {name: self.files.get(held, held) if isinstance(held, str) else held for name, held in options.items()}


@dataclass(frozen=True)
class Epoch:
    """One finished epoch of one trial."""

    trial: int
    epoch: int
    """Counts from 1."""
    metrics: Mapping[str, float]
    """`loss`, `accuracy`, … of training and `val_loss`, `val_accuracy`, … of validation, plus `learning_rate`.

    `loss` and `val_loss` are the task's loss alone, without L2 and other penalties, so that trials compare.
    """
    seconds: float


@dataclass(frozen=True)
class GpuUse:
    """What a trial took of its GPU; None for what the driver does not tell.

    But for the memory these are figures of the whole device, whoever else works on it.
    """

    name: str
    utilization: float | None = None
    """The mean share of the time in which a kernel ran."""
    memory: int | None = None
    """The most bytes that the process held, which keeps what earlier trials of it needed."""
    energy: float | None = None
    """Watt-hours; trials that were trained together have equal shares."""


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended."""

    trial: int
    state: State
    value: float | None
    """The objective at the best epoch; None when there is none (failed before the first finite value)."""
    best_epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The metrics of the best epoch."""
    reason: str | None = None
    """Why it failed or was pruned, in one line."""
    cause: Cause | None = None
    """What kind of reason that is; None for a trial that is complete or was pruned by the pruner."""
    detail: str | None = None
    """The traceback of a failure."""
    weights: str | None = None
    """Path of the weights of the best epoch."""
    parameter_count: int | None = None
    summary: str | None = None
    """The model as Keras prints it."""
    resumed_from: int | None = None
    """The epoch after which the last attempt went on; None when it began at the beginning."""
    engine: str | None = None
    """What trained it, such as "fused"; "fit: REASON" when a faster engine had to leave it to `fit`."""
    gpu: GpuUse | None = None
    """None without a GPU, or where nothing measures it."""


@dataclass(frozen=True)
class TrialRecord:
    """A trial and how it ended, as the storage knows it."""

    trial: Trial
    state: State
    value: float | None = None
    result: TrialResult | None = None
    curve: Mapping[int, float] = field(default_factory=dict)
    """The objective after each epoch."""
    started: float | None = None
    """Seconds since 1970."""
    finished: float | None = None


@dataclass(frozen=True)
class Confusion:
    """Which classes a trial's model takes for which, on the validation examples."""

    trial: int
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """A row for each class that examples belong to, a column for each that the model predicts."""


@dataclass(frozen=True)
class TestScore:
    """What opening the seal gave."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    trial: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    """95 % intervals by metric."""
    interval_method: str
    examples: int
    openings: int
    """How often the seal has been opened, this time included."""
    baseline: Mapping[str, float] = field(default_factory=dict)
    """What predicting the majority class, the mean or the last value scores on the same examples."""


@dataclass(frozen=True)
class StudyResult:
    """A study as far as it has come."""

    name: str
    objective: Objective
    trials: tuple[TrialRecord, ...]
    budget: int
    seed: int
    validation_examples: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What a reader should know: data description and digest, sampler, pruner, versions, git commit, …"""
    test: TestScore | None = None
    confusion: Confusion | None = None
    """Of the best trial; None for other tasks than classification, and before the study has ended."""

    @property
    def best(self) -> TrialRecord | None:
        """The complete trial with the best finite value (the earliest of equals); None when there is none."""
        return best_of(self.trials, self.objective)


def best_of(trials: Iterable[TrialRecord], objective: Objective) -> TrialRecord | None:
    """The complete trial with the best finite value (the earliest of equals); None when there is none."""
    best: TrialRecord | None = None
    for record in trials:
        if (
            record.state == "complete"
            and record.value is not None
            and objective.is_better(record.value, best.value if best else None)
        ):
            best = record
    return best

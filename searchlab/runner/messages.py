"""What the supervisor and a child say to each other.

    supervisor                              child
        setup (Setup)              ─────▶   loads Keras and the data
                                   ◀─────   Ready
        Job(cohort)                ─────▶
                                   ◀─────   Epochs         one epoch of each trial that is trained together
        Verdict(stop)              ─────▶                  only when setup["prunes"]
                                   ◀─────   TrialResult    once for each trial of the cohort
                                   ◀─────   Idle           the cohort is done: the next Job, please
        Leave                      ─────▶                  any time: keep checkpoints at the end of the epoch, and leave
                                   ◀─────   Left
        Finish(trial)              ─────▶                  instead of a Job: make a model of that trial
                                   ◀─────   Finished

`Ready` also means idle.  The child leaves when the channel closes.  Nothing here can name the sealed test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from searchlab.data import Array
from searchlab.records import Cohort, Confusion, Epoch, TrainingPlan, Trial

ENTRY = "searchlab.runner.child:main"
"""The `entry` that an executor starts."""


class Setup(TypedDict):
    """What a child is told before anything else."""

    data: str
    """The folder of the search data (train and validation), as `data.prepare` made it."""
    encoding: Mapping[str, Any]
    """`Encoding.to_json()` of the encoding that was fitted on the training examples."""
    plan: TrainingPlan
    engine: str
    prunes: bool
    """Whether the child waits for a `Verdict` after all `Epochs`."""


@dataclass(frozen=True)
class Ready:
    """The child has its data in memory and waits for a job."""

    versions: Mapping[str, str]
    """Of Python and of the libraries that decide the numbers."""
    backend: str
    devices: tuple[str, ...]
    """As Keras names them, such as "gpu:0"."""


@dataclass(frozen=True)
class Job:
    """Train this cohort."""

    cohort: Cohort


@dataclass(frozen=True)
class Epochs:
    """The epochs that ended together, one of each trial at most."""

    epochs: tuple[Epoch, ...]


@dataclass(frozen=True)
class Verdict:
    """The answer to `Epochs`: the numbers of the trials that stop now, as pruned."""

    stop: frozenset[int]


@dataclass(frozen=True)
class Idle:
    """The job is done and every result of it was sent."""

    memory: int | None = None
    """Bytes of main memory that the child holds."""


@dataclass(frozen=True)
class Leave:
    """Keep a checkpoint of what is being trained when its epoch has ended, and leave."""


@dataclass(frozen=True)
class Left:
    """The answer to `Leave`: what had not ended can go on elsewhere; the child says no more."""


@dataclass(frozen=True)
class Finish:
    """Rebuild this trial's model from its weights and write it as one `.keras` file."""

    trial: Trial
    weights: str
    path: str
    card: Mapping[str, Any] | None = None
    """What the file says of itself: a `ModelCard` as JSON values."""


@dataclass(frozen=True)
class Finished:
    """The answer to `Finish`: the file is there."""

    sd: float
    """The standard deviation of the objective over single validation examples."""
    inputs: Array
    """(n, …) a few raw inputs."""
    outputs: Array
    """(n, units) what the model predicts for them."""
    fault: str | None = None
    """Why there is no file after all, in one line; then the other fields mean nothing."""
    confusion: Confusion | None = None
    """On the validation examples, for classification."""

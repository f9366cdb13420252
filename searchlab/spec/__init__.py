"""What was asked for: one study file, everything filled in, frozen.  A spec opens no file, device or database.

`spec/load.py` makes one from a file, `spec/build.py` from nodes; here are the nouns and the way back to YAML.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from searchlab.config import Node
from searchlab.data.copies import Policy
from searchlab.errors import Mark
from searchlab.options import Options
from searchlab.records import Direction
from searchlab.redact import without_password
from searchlab.space import Space
from searchlab.space.writing import grammar_of

NAME = r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}"
"""What a study may be called: it becomes a folder, a row in a database and a part of URLs."""

Whole: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]


@dataclass(frozen=True)
class Plugin:
    """A plugin by name, with its options as they were written; `node` is for the check against its `Options`."""

    name: str
    options: Mapping[str, Any]
    node: Node = field(compare=False, repr=False)
    mark: Mark = field(compare=False, repr=False)

    def form(self) -> Any:
        """As one would write it: the name alone, or a mapping from it to its options."""
        return {self.name: dict(self.options)} if self.options else self.name


class SplitSpec(Options):
    """How the examples are parted: the rule, two shares and the seed of the draw."""

    by: str = "stratified"
    """The split rule."""
    validation: float = Field(0.2, gt=0.0, lt=1.0)
    """Share of all examples that candidates are compared on."""
    test: float = Field(0.2, gt=0.0, lt=1.0)
    """Share of all examples behind the seal."""
    seed: int = Field(0, ge=0)
    """Decides who goes where; not the seed of the study."""
    embargo: int = Field(0, ge=0)
    """Moments left out between the parts of a series."""
    train_examples: int | None = Field(None, ge=1)
    """Keep so many training examples, drawn by the seed, as many of each class as of the others; null keeps all."""

    @model_validator(mode="after")
    def _leave_some_to_learn_from(self) -> SplitSpec:
        if self.validation + self.test >= 1.0:
            raise ValueError(f"validation and test together must be below 1, but are {self.validation + self.test:g}")
        return self


@dataclass(frozen=True)
class DataSpec:
    """Where the examples come from and how they are parted."""

    source: Plugin
    split: SplitSpec
    shuffle_labels: bool = False
    """Permute the targets: a null study, in which nothing can be learned."""
    duplicates: Policy = "warn"
    """What is done about copies in two parts of the split."""


class StoppingSpec(Options):
    """Stop a trial that no longer improves."""

    patience: int = Field(5, ge=1, le=1_000_000)
    """Epochs without improvement that are waited for."""
    min_delta: float = Field(0.0, ge=0.0, allow_inf_nan=False)
    """What counts as improvement."""


class TrainingSpec(Options):
    """How every trial is trained."""

    epochs: Whole = 20
    """Passes over the training part, at most."""
    early_stopping: StoppingSpec | None = None
    """When to stop a trial before its last epoch; null never does."""
    engine: str = "auto"
    """What trains; "auto" is the fastest that this machine has for the study."""
    backend: Literal["auto", "tensorflow", "jax", "torch"] = "auto"
    """What Keras computes with; "auto" is what KERAS_BACKEND names, else what the engine needs, else Keras's own."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Keras's dtype policy."""
    jit_compile: bool | Literal["auto"] = "auto"
    """Whether XLA compiles the training step."""
    deterministic: bool = True
    """Same seed, same numbers; costs speed on GPUs, where PyTorch does not promise it all the same."""


class ExecutionSpec(Options):
    """Where trials are trained, and how many at a time."""

    executor: str = "local"
    """Where training processes live: on this machine, or on the nodes of a Ray cluster."""
    address: str | None = Field(None, min_length=1)
    """The Ray cluster: "auto", the one that this machine is a node of (null is the same), or HOST:PORT of its head."""
    workers: Annotated[int, Field(ge=0, le=1_000_000)] | Literal["auto"] = "auto"
    """Trials trained at a time; 0 leads the study and leaves its trials to `searchlab worker` elsewhere."""
    threads: Whole | Literal["auto"] = "auto"
    """CPU threads of each worker; on Ray the cores that are set aside for it."""
    gpus: Annotated[int, Field(ge=0, le=1024)] | Literal["auto"] = "auto"
    """GPUs to use; more workers than GPUs share them."""
    trials_per_gpu: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = "auto"
    """Trials trained at a time on each GPU; "auto" is one, or what a number of workers comes to."""
    keep_weights: int = Field(3, ge=0, le=1_000_000)
    """Of how many of the best trials the weights are kept."""
    checkpoint_seconds: float | None = Field(2.0, ge=0.0, allow_inf_nan=False)
    """Seconds of training after which the next epoch's end is kept, to go on from after a loss.

    More where writing is slow (2 % of the time at most); 0 keeps every epoch, whatever it costs; null keeps none.
    """
    feature_cache: bool = True
    """Whether what a frozen backbone makes of the data is computed once, for all trials and workers."""
    stall_seconds: float = Field(1800.0, gt=0.0, allow_inf_nan=False)
    """Seconds without a word (or ten times the longest epoch) after which a training process is replaced."""


class TrackingSpec(Options):
    """Where runs are written down."""

    uri: str | None = Field(None, min_length=1)
    """MLflow's tracking URI; null is the embedded store.  `${NAME}` stands for an environment variable."""
    experiment: str | None = Field(None, min_length=1, max_length=250)
    """MLflow's experiment; null is the study's name."""
    enabled: bool = True
    """Whether anything is tracked."""


@dataclass(frozen=True)
class SearchSpec:
    """How configurations are chosen."""

    sampler: Plugin
    pruner: Plugin
    trials: int = 20
    timeout: float | None = None
    """Seconds after which no further trial begins."""
    trial_timeout: float | None = None
    """Seconds of training after which a trial is ended."""
    objective: str | None = None
    """A validation metric; None is the task's own."""
    direction: Direction | None = None


@dataclass(frozen=True)
class StudySpec:
    """A whole study.  Specs that ask for the same are equal, wherever they were written."""

    name: str
    data: DataSpec
    task: str
    space: Space
    search: SearchSpec
    training: TrainingSpec
    execution: ExecutionSpec
    tracking: TrackingSpec
    storage: str | None
    """URL of the Optuna storage; None is the embedded store."""
    seed: int
    folder: Path = field(default=Path(), compare=False)
    """The study file's; relative paths in `data` count from here."""
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)
    """Where each value was written, by dotted path."""
    as_written: Mapping[tuple[str, ...], str] = field(default_factory=dict, compare=False, repr=False)
    """The text, by its keys from the root, of values with environment variables filled in, which may be secrets."""

    def mark(self, path: str) -> Mark | None:
        """Where the value at `path` ("search.objective") was written, or what encloses it; None without a file."""
        while path and path not in self.marks:
            path = path.rpartition(".")[0]
        return self.marks[path] if path in self.marks else None

    def resolved(self) -> dict[str, Any]:
        """The whole spec as JSON values in the grammar of study files, to be kept where others can read it.

        Environment variables stay `${NAME}`, and URLs lose the passwords that were written into the file itself.
        """
        content = self._content()
        for path, text in self.as_written.items():
            *parents, last = path
            owner: Any = content
            for part in parents:
                owner = owner[int(part)] if isinstance(owner, list) else owner[part]
            owner[int(last) if isinstance(owner, list) else last] = text
        kept: dict[str, Any] = _without_passwords(content)
        return kept

    def digest(self) -> str:
        """16 hex digits that equal specs share."""
        text = json.dumps(self._content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _content(self) -> dict[str, Any]:
        source = self.data.source
        return {
            "study": self.name,
            "data": {
                "source": source.name,
                **json.loads(json.dumps(source.options)),
                "split": self.data.split.model_dump(exclude_none=True),  # as before there was a smaller training part
                "shuffle_labels": self.data.shuffle_labels,
                **({} if self.data.duplicates == "warn" else {"duplicates": self.data.duplicates}),
            },
            "task": self.task,
            "space": grammar_of(self.space),
            "search": {
                "sampler": self.search.sampler.form(),
                "pruner": self.search.pruner.form(),
                "trials": self.search.trials,
                "timeout": self.search.timeout,
                "trial_timeout": self.search.trial_timeout,
                "objective": self.search.objective,
                "direction": self.search.direction,
            },
            "training": self.training.model_dump(),
            "execution": self.execution.model_dump(),
            "tracking": self.tracking.model_dump(),
            "storage": self.storage,
            "seed": self.seed,
        }


def _without_passwords(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_passwords(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_passwords(value) for value in content]
    return without_password(content) if isinstance(content, str) else content

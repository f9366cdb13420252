"""What is learned: how raw examples become arrays, which loss and metrics judge a model, and what a score means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from searchlab.catalog import Catalog
from searchlab.data import Array, Collection, Examples
from searchlab.options import Options
from searchlab.records import Direction

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Arrays:
    """Encoded examples, ready for a model."""

    x: Array
    """(n, *problem.input_shape), float32, or int32 for tokens; `Rows` where they are too large for memory."""
    y: Array
    """(n,) int32 class numbers, or (n, units) float32 scaled targets."""

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Pixels:
    """How encoded images follow from raw ones, (raw - mean) / deviation for each channel, and what raw ones hold."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    low: float
    high: float
    """The range of the training images, over all channels."""


@dataclass(frozen=True)
class Problem:
    """What a model must take in and give out; known after the training examples were looked at."""

    kind: str
    """"image", "vector", "sequence" or "tokens": which families can take it."""
    input_shape: tuple[int, ...]
    """Of one example, as encoded: (height, width, channels), (columns,), (time, features) or (time,)."""
    units: int
    """Width of the model's output, before any softmax."""
    vocabulary_size: int | None = None
    """For tokens: one more than the largest token; token 0 is padding."""
    pixels: Pixels | None = None
    """For images: where they came from."""


class Encoding(Protocol):
    """What was fitted on the training examples (class list, scaling, vocabularies), frozen, picklable and JSON-able."""

    @property
    def problem(self) -> Problem:
        """What a model for these examples must take in and give out."""

    def encode(self, examples: Examples) -> Arrays:
        """The arrays of any examples of the same collection; labels and words that training lacked are handled.

        Raises:
            DataError: A label that the training part does not have.
        """

    def encode_inputs(self, examples: Examples) -> Array:
        """What `encode` makes of `x`, of examples whose targets nobody knows; `examples.y` is not looked at."""

    def decode(self, outputs: Array) -> Mapping[str, Array]:
        """Model outputs as people want them: `{"label": …, "probability": (n, classes)}` or `{"value": …}` unscaled."""

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `Task.restore` makes an equal encoding."""

    def front(self) -> list[keras.layers.Layer]:
        """Layers that do to raw inputs what `encode` does to `x`, for the exported model; may be empty.

        Where raw inputs are shaped or typed unlike encoded ones, the first layer is a functional model, which says how.
        """

    def back(self) -> list[keras.layers.Layer]:
        """Layers that turn model outputs into probabilities or unscaled values, for the exported model."""


class Task(Protocol):
    """A kind of problem.  A file in `tasks/` binds one to `TASK`."""

    Options: type[Options]
    """Its hyperparameters: the group `task:` of a search space."""
    accepts: tuple[str, ...]
    """Kinds of `Collection` it can learn from."""
    objective: str
    """The validation metric that is improved when the study names none, such as "val_accuracy"."""
    metrics: Mapping[str, Direction]
    """Every metric that each epoch reports, by its name without "val_", "loss" among them, and which way is better."""

    def fit(self, collection: Collection, train: Examples) -> Encoding:
        """Look at the training examples only; `collection` serves for its kind, vocabulary and column names.

        Raises:
            DataError: Nothing can be learned from these examples (one class, no rows, text where numbers belong).
        """

    def restore(self, content: Mapping[str, Any]) -> Encoding:
        """The encoding whose `to_json` gave `content`."""

    def loss(self, options: Any, encoding: Encoding) -> keras.losses.Loss:
        """The loss that is trained, with the options of this trial (label smoothing, …)."""

    def keras_metrics(self, encoding: Encoding) -> list[keras.metrics.Metric]:
        """Fresh metrics, named as in `metrics`; the one named "loss" (mean data loss, no smoothing) is included."""

    def per_example(self, encoding: Encoding, y: Array, outputs: Array) -> Mapping[str, Array]:
        """For each metric, one number (n,) an example, in the user's units (unscaled); `combine` makes the metric."""

    def combine(self, metric: str, per_example: Array) -> float:
        """The metric of many examples: their mean, or the root of it for `rmse`."""

    def baseline(self, encoding: Encoding, train: Arrays, x: Array) -> Array:
        """Outputs, shaped as a model's for the encoded inputs `x`, of the trivial predictor fitted on `train`."""


@runtime_checkable
class Classifier(Protocol):
    """What a task has beside `Task` when each of its targets is one class: mixed targets, and confusion."""

    def mixed(self, y: Array, other: Array, share: float) -> Array:
        """(b, 3) float32 targets for its loss and metrics: both class numbers of each example, the share of the first.

        The loss is that of either class at its share, the accuracy that of the larger share.
        """

    def class_names(self, encoding: Encoding) -> tuple[str, ...]:
        """What people call the classes, in the order of their numbers."""

    def confusion(self, encoding: Encoding, y: Array, outputs: Array) -> Array:
        """(k, k) numbers of examples: a row for each class that they belong to, a column for each predicted one."""


TASKS: Catalog[Task] = Catalog("searchlab.tasks", binds="TASK", kind="task")

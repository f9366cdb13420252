"""Classification of any kind of input: class list, cross-entropy, accuracy, classes that are rare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from searchlab import options
from searchlab.data import Array, Collection, Examples
from searchlab.errors import DataError
from searchlab.lazy import lazy
from searchlab.options import shape, value
from searchlab.records import Direction
from searchlab.tasks import Arrays, Encoding, Problem
from searchlab.tasks._inputs import Inputs, InputsClass
from searchlab.tasks._labels import Classes

if TYPE_CHECKING:
    import keras

    from searchlab.tasks import _losses
else:
    keras = lazy("keras")
    _losses = lazy("searchlab.tasks._losses")


class ClassificationOptions(options.Options):
    """Settings of every classification task."""

    label_smoothing: float = value(0.0, ge=0.0, lt=1.0)
    """Share of each target that is spread evenly over all classes (Szegedy et al. 2016, arXiv:1512.00567)."""
    focal_gamma: float = value(0.0, off=0.0, ge=0.0, le=10.0)
    """How much less an example counts the surer the model is of it (focal loss, Lin et al. 2017, arXiv:1708.02002)."""
    class_weight: Literal["none", "balanced"] = shape("none")
    """Whether examples of rare classes count more: by n / (k n_class), from the training examples."""


@dataclass(frozen=True)
class ClassificationEncoding:
    """The inputs and the class list of the training examples."""

    collection_kind: str
    inputs: Inputs
    classes: Classes
    counts: tuple[int, ...] = ()
    """Training examples of each class; none where an older version has not noted them."""

    @property
    def problem(self) -> Problem:
        """One output for each class."""
        inputs = self.inputs
        return Problem(inputs.kind, inputs.shape, len(self.classes.names), inputs.vocabulary_size, inputs.pixels)

    def encode(self, examples: Examples) -> Arrays:
        """Inputs, and class numbers (n,) int32."""
        return Arrays(self.encode_inputs(examples), self.classes.encode(examples.y))

    def encode_inputs(self, examples: Examples) -> Array:
        """Inputs alone."""
        return self.inputs.encode(examples)

    def decode(self, outputs: Array) -> Mapping[str, Array]:
        """`label` (n,) as the data has them, and `probability` (n, classes)."""
        return {"label": self.classes.decode(outputs.argmax(axis=-1)), "probability": np.exp(log_softmax(outputs))}

    def to_json(self) -> dict[str, Any]:
        """For `Classification.restore`."""
        return {
            "kind": self.collection_kind,
            "inputs": self.inputs.to_json(),
            "classes": list(self.classes.names),
            "counts": list(self.counts),
        }

    def front(self) -> list[keras.layers.Layer]:
        """What `encode` does to inputs."""
        return self.inputs.front()

    def back(self) -> list[keras.layers.Layer]:
        """Probabilities from outputs."""
        return [keras.layers.Softmax(name="probability")]

    def balance(self) -> tuple[float, ...] | None:
        """(classes,) weights that make all classes of the training examples count alike, 1 an example in the mean."""
        n, k = sum(self.counts), len(self.counts)
        return tuple(n / (k * count) for count in self.counts) if self.counts else None


class Classification:
    """Tell which of some classes an example belongs to."""

    Options: type[options.Options] = ClassificationOptions
    objective: str = "val_accuracy"
    metrics: Mapping[str, Direction] = {"loss": "minimize", "accuracy": "maximize", "balanced_accuracy": "maximize"}

    def __init__(self, inputs: Mapping[str, InputsClass]) -> None:
        """`inputs` says how each kind of collection that the task accepts is read."""
        self.inputs = inputs
        self.accepts: tuple[str, ...] = tuple(inputs)

    def fit(self, collection: Collection, train: Examples) -> ClassificationEncoding:
        """Look at the training examples."""
        classes = Classes.fit(train.y)
        counts = np.bincount(classes.encode(train.y), minlength=len(classes.names))
        inputs = self.inputs[collection.kind].fit(collection, train)
        return ClassificationEncoding(collection.kind, inputs, classes, tuple(counts.tolist()))

    def restore(self, content: Mapping[str, Any]) -> ClassificationEncoding:
        """From `to_json`."""
        inputs = self.inputs[content["kind"]].from_json(content["inputs"])
        counts = tuple(content.get("counts", ()))
        return ClassificationEncoding(content["kind"], inputs, Classes(tuple(content["classes"])), counts)

    def loss(self, options: ClassificationOptions, encoding: Encoding) -> keras.losses.Loss:
        """Cross-entropy with this trial's label smoothing, focus and weights of classes."""
        weights = _own(encoding).balance() if options.class_weight == "balanced" else None
        return _losses.SmoothedCrossentropy(options.label_smoothing, options.focal_gamma, weights)

    def keras_metrics(self, encoding: Encoding) -> list[keras.metrics.Metric]:
        """Plain cross-entropy, accuracy, and accuracy with equal classes."""
        return [
            _losses.Crossentropy(from_logits=True, name="loss"),
            _losses.Accuracy(name="accuracy"),
            _losses.BalancedAccuracy(encoding.problem.units),
        ]

    def per_example(self, encoding: Encoding, y: Array, outputs: Array) -> Mapping[str, Array]:
        """Cross-entropy in nats, 1 for each right answer, and what each answer does to the balanced accuracy.

        The last is the balanced accuracy plus its influence function, so that not only the mean is right, but also the
        noise of a mean (a spread, a bootstrap): classes that are all right or all wrong have none.
        """
        surprise = -np.take_along_axis(log_softmax(outputs), y[:, None].astype(int), axis=1)[:, 0]
        right = (outputs.argmax(axis=-1) == y).astype(np.float64)
        seen = np.bincount(y, minlength=outputs.shape[-1])
        recall = np.bincount(y, weights=right, minlength=len(seen)) / np.maximum(seen, 1)
        occur = max(1, int(np.count_nonzero(seen)))
        balanced = recall.sum() / occur + len(y) / (occur * seen[y]) * (right - recall[y])
        return {"loss": surprise, "accuracy": right, "balanced_accuracy": balanced}

    def combine(self, metric: str, per_example: Array) -> float:
        """The mean."""
        return float(np.mean(per_example))

    def mixed(self, y: Array, other: Array, share: float) -> Array:
        """Both classes, and the share of the first."""
        return np.stack([y, other, np.full(len(y), share)], axis=1).astype(np.float32)

    def class_names(self, encoding: Encoding) -> tuple[str, ...]:
        """In the order of their numbers."""
        return tuple(map(str, _own(encoding).classes.names))

    def confusion(self, encoding: Encoding, y: Array, outputs: Array) -> Array:
        """Counted in one pass."""
        k = encoding.problem.units
        return np.bincount(y * k + outputs.argmax(axis=-1), minlength=k * k).reshape(k, k)

    def baseline(self, encoding: Encoding, train: Arrays, x: Array) -> Array:
        """The logarithms of the class frequencies in training: the majority class, at its share of certainty."""
        counts = np.bincount(train.y, minlength=encoding.problem.units)
        if len(counts) == 0 or counts.sum() == 0:
            raise DataError("there are no training examples to count classes in.")
        return np.tile(np.log(np.maximum(counts, 0.5) / counts.sum()).astype(np.float32), (len(x), 1))


def _own(encoding: Encoding) -> ClassificationEncoding:
    assert isinstance(encoding, ClassificationEncoding)
    return encoding


def log_softmax(outputs: Array) -> Array:
    """Float64 logarithms of probabilities (n, k) from outputs before softmax."""
    shifted = outputs.astype(np.float64) - outputs.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))

"""Classification of any kind of input: class list, cross-entropy, accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab import options
from searchlab.data import Array, Collection, Examples
from searchlab.errors import DataError
from searchlab.lazy import lazy
from searchlab.options import value
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


@dataclass(frozen=True)
class ClassificationEncoding:
    """The inputs and the class list of the training examples."""

    collection_kind: str
    inputs: Inputs
    classes: Classes

    @property
    def problem(self) -> Problem:
        """One output for each class."""
        return Problem(self.inputs.kind, self.inputs.shape, len(self.classes.names), self.inputs.vocabulary_size)

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
        return {"kind": self.collection_kind, "inputs": self.inputs.to_json(), "classes": list(self.classes.names)}

    def front(self) -> list[keras.layers.Layer]:
        """What `encode` does to inputs."""
        return self.inputs.front()

    def back(self) -> list[keras.layers.Layer]:
        """Probabilities from outputs."""
        return [keras.layers.Softmax(name="probability")]


class Classification:
    """Tell which of some classes an example belongs to."""

    Options: type[options.Options] = ClassificationOptions
    objective: str = "val_accuracy"
    metrics: Mapping[str, Direction] = {"loss": "minimize", "accuracy": "maximize"}

    def __init__(self, inputs: Mapping[str, InputsClass]) -> None:
        """`inputs` says how each kind of collection that the task accepts is read."""
        self.inputs = inputs
        self.accepts: tuple[str, ...] = tuple(inputs)

    def fit(self, collection: Collection, train: Examples) -> ClassificationEncoding:
        """Look at the training examples."""
        classes = Classes.fit(train.y)
        return ClassificationEncoding(collection.kind, self.inputs[collection.kind].fit(collection, train), classes)

    def restore(self, content: Mapping[str, Any]) -> ClassificationEncoding:
        """From `to_json`."""
        inputs = self.inputs[content["kind"]].from_json(content["inputs"])
        return ClassificationEncoding(content["kind"], inputs, Classes(tuple(content["classes"])))

    def loss(self, options: ClassificationOptions, encoding: Encoding) -> keras.losses.Loss:
        """Cross-entropy with this trial's label smoothing."""
        return _losses.SmoothedCrossentropy(options.label_smoothing)

    def keras_metrics(self, encoding: Encoding) -> list[keras.metrics.Metric]:
        """Cross-entropy without smoothing, and accuracy."""
        return [
            keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="loss"),
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        ]

    def per_example(self, encoding: Encoding, y: Array, outputs: Array) -> Mapping[str, Array]:
        """Cross-entropy in nats, and 1 for each right answer."""
        surprise = -np.take_along_axis(log_softmax(outputs), y[:, None].astype(int), axis=1)[:, 0]
        return {"loss": surprise, "accuracy": (outputs.argmax(axis=-1) == y).astype(np.float64)}

    def combine(self, metric: str, per_example: Array) -> float:
        """The mean."""
        return float(np.mean(per_example))

    def baseline(self, encoding: Encoding, train: Arrays, x: Array) -> Array:
        """The logarithms of the class frequencies in training: the majority class, at its share of certainty."""
        counts = np.bincount(train.y, minlength=encoding.problem.units)
        if len(counts) == 0 or counts.sum() == 0:
            raise DataError("there are no training examples to count classes in.")
        return np.tile(np.log(np.maximum(counts, 0.5) / counts.sum()).astype(np.float32), (len(x), 1))


def log_softmax(outputs: Array) -> Array:
    """Float64 logarithms of probabilities (n, k) from outputs before softmax."""
    shifted = outputs.astype(np.float64) - outputs.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))

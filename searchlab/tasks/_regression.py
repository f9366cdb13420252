"""Regression on any kind of input: scaled targets, losses in scaled units, errors in the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from searchlab import options
from searchlab.data import Array, Collection, Examples
from searchlab.errors import DataError
from searchlab.lazy import lazy
from searchlab.options import shape
from searchlab.records import Direction
from searchlab.tasks import Arrays, Encoding, Problem
from searchlab.tasks._inputs import Inputs, InputsClass
from searchlab.tasks._scaling import Scaling

if TYPE_CHECKING:
    import keras

    from searchlab.tasks import _losses
else:
    keras = lazy("keras")
    _losses = lazy("searchlab.tasks._losses")


class RegressionOptions(options.Options):
    """Settings of every regression task."""

    loss: Literal["mse", "mae", "huber"] = shape("mse")
    """What training minimizes, in scaled units: squared errors, absolute ones, or squared below 1 and absolute above.
    The metrics are the same for all."""


@dataclass(frozen=True)
class RegressionEncoding:
    """The inputs and the scale of the targets of the training examples."""

    collection_kind: str
    inputs: Inputs
    targets: Scaling
    is_flat: bool
    """Whether targets are (n,) and not (n, units)."""

    @property
    def problem(self) -> Problem:
        """One output for each target."""
        inputs = self.inputs
        return Problem(inputs.kind, inputs.shape, len(self.targets.mean), inputs.vocabulary_size, inputs.pixels)

    def encode(self, examples: Examples) -> Arrays:
        """Inputs, and scaled targets (n, units) float32."""
        y = _targets(examples.y)
        if y.shape[1] != self.problem.units:
            raise DataError(f"there must be {self.problem.units} targets, as in training, and there are {y.shape[1]}.")
        return Arrays(self.encode_inputs(examples), self.targets.apply(y))

    def encode_inputs(self, examples: Examples) -> Array:
        """Inputs alone."""
        return self.inputs.encode(examples)

    def decode(self, outputs: Array) -> Mapping[str, Array]:
        """`value`, shaped as the data's targets and in their units."""
        value = self.targets.undo(outputs)
        return {"value": value[:, 0] if self.is_flat else value}

    def to_json(self) -> dict[str, Any]:
        """For `Regression.restore`."""
        return {
            "kind": self.collection_kind,
            "inputs": self.inputs.to_json(),
            "targets": self.targets.to_json(),
            "is_flat": self.is_flat,
        }

    def front(self) -> list[keras.layers.Layer]:
        """What `encode` does to inputs."""
        return self.inputs.front()

    def back(self) -> list[keras.layers.Layer]:
        """(n, units) values in the units of the data."""
        return [keras.layers.Rescaling(list(self.targets.deviation), list(self.targets.mean), name="value")]


Trivial = Callable[[RegressionEncoding, Arrays, Array], Array]
"""Outputs (n, units) for encoded inputs (the last argument), of something trivial fitted on the training arrays."""


def mean_of_targets(encoding: RegressionEncoding, train: Arrays, x: Array) -> Array:
    """The mean training target, whatever the input."""
    return np.tile(train.y.mean(axis=0), (len(x), 1))


class Regression:
    """Tell some numbers about an example."""

    Options: type[options.Options] = RegressionOptions
    objective: str = "val_rmse"
    metrics: Mapping[str, Direction] = {"loss": "minimize", "mae": "minimize", "rmse": "minimize"}

    def __init__(
        self, inputs: Mapping[str, InputsClass], *, trivial: Trivial = mean_of_targets, has_one_scale: bool = False
    ) -> None:
        """`inputs` reads each kind of collection; `has_one_scale` scales all targets alike (steps of one series)."""
        self.inputs = inputs
        self.accepts: tuple[str, ...] = tuple(inputs)
        self.trivial = trivial
        self.has_one_scale = has_one_scale

    def fit(self, collection: Collection, train: Examples) -> RegressionEncoding:
        """Look at the training examples."""
        y = _targets(train.y)
        if len(y) == 0:
            raise DataError("there are no targets in the training part.")
        if (y == y[0]).all():
            raise DataError(f"every target of the training part is {y[0].tolist()}: there is nothing to learn.")
        units = y.shape[1]
        scaling = Scaling.fit(y.reshape(-1, 1)).repeated(units) if self.has_one_scale else Scaling.fit(y)
        inputs = self.inputs[collection.kind].fit(collection, train)
        return RegressionEncoding(collection.kind, inputs, scaling, is_flat=train.y.ndim == 1)

    def restore(self, content: Mapping[str, Any]) -> RegressionEncoding:
        """From `to_json`."""
        inputs = self.inputs[content["kind"]].from_json(content["inputs"])
        return RegressionEncoding(content["kind"], inputs, Scaling.from_json(content["targets"]), content["is_flat"])

    def loss(self, options: RegressionOptions, encoding: Encoding) -> keras.losses.Loss:
        """The chosen loss, in scaled units."""
        if options.loss == "mae":
            return keras.losses.MeanAbsoluteError()
        return keras.losses.Huber() if options.loss == "huber" else keras.losses.MeanSquaredError()

    def keras_metrics(self, encoding: Encoding) -> list[keras.metrics.Metric]:
        """Mean squared error in scaled units as "loss", the others in the units of the data."""
        scale = _own(encoding).targets.deviation
        return [
            keras.metrics.MeanSquaredError(name="loss"),
            _losses.UnscaledError("absolute", scale, name="mae"),
            _losses.UnscaledError("squared", scale, name="rmse"),
        ]

    def per_example(self, encoding: Encoding, y: Array, outputs: Array) -> Mapping[str, Array]:
        """Means over the targets of each example: scaled squares, absolute errors, squared errors."""
        scaled = outputs.astype(np.float64) - y.astype(np.float64)
        errors = scaled * np.asarray(_own(encoding).targets.deviation)
        return {
            "loss": np.square(scaled).mean(axis=1),
            "mae": np.abs(errors).mean(axis=1),
            "rmse": np.square(errors).mean(axis=1),
        }

    def combine(self, metric: str, per_example: Array) -> float:
        """The mean, or for `rmse` the root of it."""
        mean = float(np.mean(per_example))
        return mean**0.5 if metric == "rmse" else mean

    def baseline(self, encoding: Encoding, train: Arrays, x: Array) -> Array:
        """What the trivial predictor of this task gives."""
        return self.trivial(_own(encoding), train, x)


def _own(encoding: Encoding) -> RegressionEncoding:
    assert isinstance(encoding, RegressionEncoding)
    return encoding


def _targets(y: Array) -> Array:
    """(n, units) float64."""
    if y.dtype.kind not in "biuf":
        raise DataError(f"targets must be numbers, and these are of type {y.dtype}; is this a classification?")
    if y.ndim not in (1, 2) or 0 in y.shape[1:]:
        raise DataError(f"targets must have the shape (n,) or (n, targets), and these have {y.shape}.")
    y = y.astype(np.float64).reshape(len(y), 1 if y.ndim == 1 else y.shape[1])
    bad = np.flatnonzero(~np.isfinite(y).all(axis=1))
    if len(bad):
        raise DataError(f"{len(bad)} of {len(y)} targets are missing or infinite, example {bad[0]} first; drop them.")
    return y

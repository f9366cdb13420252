"""The chosen trial as a model: rebuilt from its configuration and weights, completed for use, written to files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab.atomic import write_with
from searchlab.data import Array
from searchlab.data.rows import is_in_memory
from searchlab.errors import MissingExtra, SpecError, UnknownName
from searchlab.lazy import lazy
from searchlab.models import archive
from searchlab.records import TrainingPlan, Trial
from searchlab.tasks import Encoding
from searchlab.training import model_card

if TYPE_CHECKING:
    import keras

    from searchlab.training import order, recipe, weights
else:
    keras = lazy("keras")
    order = lazy("searchlab.training.order")
    recipe = lazy("searchlab.training.recipe")
    weights = lazy("searchlab.training.weights")

FORMATS = ("keras", "onnx", "saved_model")
PREDICTION_BATCH = 256
PREDICTION_BYTES = 16 << 20
"""Of a batch of large examples, at most."""


def restore(plan: TrainingPlan, encoding: Encoding, trial: Trial, path: str | Path) -> keras.Model:
    """The model of `trial` with the weights in `path`: encoded inputs to outputs before softmax or scaling.

    Raises:
        DataError: The file is missing, broken or holds the weights of another model.
    """
    with recipe.precision(plan.precision):
        made = recipe.Recipe.of(trial, plan, encoding)
        model = made.model()
    kept = made.kept(model)
    for variable, value in zip(kept, weights.load(Path(path), [tuple(one.shape) for one in kept]), strict=True):
        variable.assign(value)
    return model


def predict(model: keras.Model, x: Array) -> Array:
    """(n, units) float32 outputs of `model` for inputs `x`."""
    batch = max(1, min(PREDICTION_BATCH, PREDICTION_BYTES * len(x) // max(1, x.nbytes)))
    if is_in_memory(x):
        return np.asarray(model.predict(x, batch_size=batch, verbose=0), np.float32)
    return np.asarray(model.predict(order.InOrder(x, batch_size=batch), verbose=0), np.float32)


def exportable(model: keras.Model, encoding: Encoding) -> keras.Model:
    """`model` with the fitted preprocessing before it and probabilities or unscaled values after it.

    Raw inputs have the shape of encoded ones, unless the encoding's first front layer is a model that says otherwise.
    """
    front, back = encoding.front(), encoding.back()
    raw = _raw_input(front, model)
    tensor = raw
    for layer in [*front, model, *back]:
        tensor = layer(tensor)
    return keras.Model(raw, tensor, name=f"{model.name}_complete")


def export(model: keras.Model, path: str | Path, form: str = "keras", *, card: Mapping[str, Any] | None = None) -> Path:
    """Write `model` to `path` as "keras" (one .keras file), "onnx" (one file) or "saved_model" (a folder).

    `card` is a `ModelCard` as JSON values, for the .keras file.

    Raises:
        UnknownName: No such format.
        SpecError: The path is taken by a folder, or ends wrongly.
        MissingExtra: The libraries for ONNX are not installed.
    """
    target = Path(path)
    if form not in FORMATS:
        raise UnknownName.among(FORMATS, kind="format", name=form)
    if form == "keras":
        if target.suffix != ".keras":
            raise SpecError(f"{target}: a Keras model needs a name that ends with .keras")
        return write_with(target, lambda temporary: _save(model, temporary, card))
    if form == "onnx":
        return write_with(target, lambda temporary: _write(model, temporary, "onnx", extra="onnx"))
    if target.exists():
        raise SpecError(f"{target} is there already; a SavedModel needs a new folder")
    _write(model, target, "tf_saved_model", extra="tensorflow")
    return target


def load_keras(path: str | Path) -> keras.Model:
    """The model in a `.keras` file that `export` wrote; code inside a file is never run (`models.archive`).

    Raises:
        DataError: Not a `.keras` file, or one that cannot be read safely.
    """
    return archive.load(path)


def _save(model: keras.Model, path: Path, card: Mapping[str, Any] | None) -> None:
    model.save(path)
    if card is not None:
        model_card.put(path, card)


def _raw_input(front: list[Any], model: keras.Model) -> Any:
    """The input of the complete model."""
    inner = front[0].inputs[0] if front and isinstance(front[0], keras.Model) else model.inputs[0]
    return keras.Input(inner.shape[1:], dtype=inner.dtype, name="raw")


def _write(model: keras.Model, path: Path, form: str, *, extra: str) -> None:
    try:
        model.export(path, format=form, verbose=False)
    except ImportError as error:
        raise MissingExtra.of(extra, needed_for=f"writing {path.name}") from error

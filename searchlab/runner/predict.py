"""What a chosen model says of new examples: inputs are read as in training, answers are in the data's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from searchlab.data import Array, Examples
from searchlab.data.unlabelled import TABLES, Batch, Unlabelled, arrays, images, series, table
from searchlab.errors import DataError, SpecError
from searchlab.runner.champion import candidate
from searchlab.runner.home import Home
from searchlab.tasks import TASKS
from searchlab.training import champion, model_card
from searchlab.training.model_card import ModelCard
from searchlab.training.quiet import load_quietly

SUFFIX = ".keras"

_NOUNS = {"table": "rows of a table", "series": "windows of a series"}
"""Kinds of inputs whose names are no plural."""


@dataclass(frozen=True)
class Answers:
    """A table that is made while it is read."""

    header: tuple[str, ...]
    count: int
    """Examples that there are, unreadable ones among them."""
    batches: Iterator[Answer]


@dataclass(frozen=True)
class Answer:
    """Some rows of it, and the files that have none."""

    rows: tuple[tuple[str | int | float, ...], ...]
    faults: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows) + len(self.faults)


@dataclass(frozen=True)
class Predictor:
    """A model, raw inputs in, probabilities or values out, and what is known of it."""

    model: Any
    card: ModelCard

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one raw example, as the model takes it."""
        return tuple(self.model.inputs[0].shape[1:])

    def header(self, column: str) -> tuple[str, ...]:
        """The names of the answer's columns; `column` is that of the examples' names."""
        if self.card.classes is not None:
            return (column, "label", "probability", *(f"p_{name}" for name in self.card.classes))
        units = int(self.model.outputs[0].shape[-1])
        return (column, "value") if units == 1 else (column, *(f"value_{number}" for number in range(1, units + 1)))

    def answer(self, batch: Batch) -> Answer:
        """What the model says of `batch`, in the columns of `header`."""
        if not batch.names:
            return Answer((), batch.faults)
        outputs = champion.predict(self.model, self._raw(batch.examples)).astype(float)
        classes = self.card.classes
        if classes is None:
            rows = [(name, *values) for name, values in zip(batch.names, outputs.tolist(), strict=True)]
        else:
            best = outputs.argmax(axis=1)
            rows = [
                (name, classes[label], values[label], *values)
                for name, label, values in zip(batch.names, best.tolist(), outputs.tolist(), strict=True)
            ]
        return Answer(tuple(rows), batch.faults)

    def _raw(self, examples: Examples) -> Array:
        """Inputs as the model takes them; words are encoded before it.

        Raises:
            DataError: They are of another shape than in training, or no numbers.
        """
        if self.card.category_columns:
            return TASKS.get(self.card.task).restore(self.card.encoding).encode_inputs(examples)
        x = examples.x
        if x.dtype.kind not in "biuf":
            raise DataError(f"inputs must be numbers, and these are of type {x.dtype}.")
        if x.shape[1:] != self.shape:
            raise DataError(f"the model takes examples of shape {self.shape}, and these have {x.shape[1:]}.")
        if self.card.kind != "table" and x.dtype.kind == "f" and not np.isfinite(x).all():
            raise DataError("some inputs are NaN or infinite; fill or drop them.")
        return x


def predict(
    model: str, files: Sequence[Path], home: Home, *, storage: str | None = None, trial: int | None = None
) -> Answers:
    """What `model` says of `files`: image files and folders of them, or one CSV, Parquet or `.npz` file.

    `model` is the name of a study, whose best trial is taken or the one with the number `trial`; or a `.keras` file
    that `export` wrote.  Answers come batch by batch; what is wrong with a table is raised here, before the first.

    Raises:
        DataError: The model's file or the table cannot be read, or is not what the model takes.
        AllTrialsFailed, StudyConflict: As `candidate`.
    """
    predictor = _predictor(model, home, storage=storage, trial=trial)
    found = _inputs(predictor, files)
    return Answers(predictor.header(found.column), found.count, (predictor.answer(batch) for batch in found.batches))


def _predictor(model: str, home: Home, *, storage: str | None, trial: int | None) -> Predictor:
    if not model.endswith(SUFFIX):
        chosen = candidate(model, home, storage=storage, trial=trial)
        return Predictor(chosen.complete(), chosen.card)
    if trial is not None:
        raise SpecError("--trial chooses among the trials of a study, and a .keras file holds one model; leave it out")
    path = Path(model)
    card = model_card.read(path)
    load_quietly()
    loaded = champion.load_keras(path)
    return Predictor(loaded, card or _guessed(path, loaded))


def _guessed(path: Path, model: Any) -> ModelCard:
    """What can be told of a model without a card: classes have numbers, columns have no names.

    Raises:
        DataError: It was not written by `export`.
    """
    last = model.layers[-1].name
    if last not in ("probability", "value"):
        raise DataError(f"{path}: its last layer is {last!r}; only models that searchlab export has written are known")
    shape, dtype = tuple(model.inputs[0].shape[1:]), str(model.inputs[0].dtype)
    kind = {3: "images", 2: "series"}.get(len(shape), "tokens" if dtype.startswith("int") else "table")
    units = int(model.outputs[0].shape[-1])
    return ModelCard(
        kind=kind,
        classes=tuple(map(str, range(units))) if last == "probability" else None,
        dtype="uint8" if kind == "images" else dtype,
    )


def _inputs(predictor: Predictor, files: Sequence[Path]) -> Unlabelled:
    """`files` as the model takes them.

    Raises:
        DataError: It takes others.
    """
    card, tables = predictor.card, [path for path in files if path.suffix.lower() in TABLES]
    if not tables:
        return _images(predictor, files)
    if len(files) > 1:
        raise DataError(f"one table at a time, or images: {tables[0]} is a table, and there are {len(files)} files")
    (path,) = tables
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        if card.category_columns:
            raise DataError(f"{path}: the model takes columns of words, which come in a CSV or Parquet file")
        return arrays(path, name=str(card.options.get("x", "x")), kind=card.kind)
    if card.kind == "table":
        columns = card.columns or (None if not card.category_columns else ())
        return table(path, columns=columns, category_columns=card.category_columns, options=card.options)
    if card.kind == "series" and card.columns:
        return series(path, columns=card.columns, window=predictor.shape[0], options=card.options)
    raise DataError(
        f"{path}: the model takes {_NOUNS.get(card.kind, card.kind)}; give them as the array 'x' of an .npz file"
    )


def _images(predictor: Predictor, files: Sequence[Path]) -> Unlabelled:
    card, shape = predictor.card, predictor.shape
    if card.kind != "images":
        wanted = "one .npz file" if card.kind == "tokens" else "one CSV, Parquet or .npz file"
        raise DataError(f"the model takes {_NOUNS.get(card.kind, card.kind)}: give {wanted}, not {files[0]}")
    if card.dtype not in ("uint8", ""):
        raise DataError(
            f"the model was trained on pixels of type {card.dtype}, and image files have whole numbers from 0 to 255; "
            "give the array 'x' of an .npz file"
        )
    height, width, channels = shape
    if channels not in (1, 3):
        raise DataError(f"the model takes images of {channels} channels; give the array 'x' of an .npz file")
    return images(files, (height, width, channels), card.options)

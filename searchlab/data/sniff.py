"""A first look at somebody's data, for `searchlab init`: which source reads it, how, and what it could be for.

A guess that a person reads and corrects; the source itself checks everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab.data import SOURCES
from searchlab.errors import DataError, UnknownName
from searchlab.lazy import lazy

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy("pandas")

FIRST_ROWS = 5000
FEW = 20
"""Up to so many different whole numbers are taken for classes."""
TARGET_NAMES = ("target", "label", "class", "y", "outcome")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


@dataclass(frozen=True)
class Guess:
    """What a first look says."""

    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    task: str = "image_classification"
    notes: tuple[str, ...] = ()
    """What to check, for comments in the study file."""
    is_parted: bool = False
    """Whether the data has its own training and test parts."""


KNOWN = {
    "digits": "image_classification",
    "wine": "tabular_classification",
    "breast_cancer": "tabular_classification",
    "iris": "tabular_classification",
    "diabetes": "tabular_regression",
    "sunspots": "forecasting",
    "co2": "forecasting",
}


def sniff(data: str, *, target: str | None = None) -> Guess:
    """A guess at `data`: a CSV, Parquet or .npz file, a folder of pictures, or the name of a source.

    Raises:
        DataError: There is nothing of the kind, or it cannot be read.
        UnknownName: `target` is no column.
    """
    path = Path(data)
    if path.is_dir():
        return _folder(path)
    if path.suffix in (".csv", ".parquet") and path.is_file():
        return _table(path, target)
    if path.suffix == ".npz" and path.is_file():
        return _arrays(path)
    if data in KNOWN:
        return Guess(data, task=KNOWN[data])
    if data in SOURCES.names():
        raise DataError(f"{data} needs options of its own; see `searchlab list` and the shipped studies that use it")
    raise DataError(
        f"{data!r} is no CSV, Parquet or .npz file, no folder and no source that needs no options ({', '.join(KNOWN)})"
    )


def _folder(path: Path) -> Guess:
    found = sorted(child for child in path.iterdir() if child.is_dir())
    pictures = any(file.suffix.lower() in PICTURES for child in found for file in child.rglob("*"))
    if not found or not pictures:
        raise DataError(f"{path} has no folders with pictures in them: one folder for each class is expected")
    has_parts = {"train", "test"} <= {child.name for child in found}
    notes = ("classes: " + ", ".join(child.name for child in found[:10]),) if not has_parts else ()
    return Guess("image_folder", {"path": str(path), "size": 64}, "image_classification", notes, is_parted=has_parts)


def _table(path: Path, target: str | None) -> Guess:
    try:
        frame = pd.read_csv(path, nrows=FIRST_ROWS) if path.suffix == ".csv" else pd.read_parquet(path)
    except Exception as error:  # whatever pandas and its engines raise for files that are none
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    columns = [str(column) for column in frame.columns]
    if target is not None and target not in columns:
        raise UnknownName.among(columns, kind="column", name=target)
    if len(columns) < 2:
        raise DataError(f"{path} has {len(columns)} column(s); a target and something to learn from are needed")
    chosen = target or next((name for name in columns if name.lower() in TARGET_NAMES), columns[-1])
    notes = [] if target else [f"the target is a guess; the columns are: {', '.join(columns[:30])}"]
    words = [name for name in columns if name != chosen and not pd.api.types.is_numeric_dtype(frame[name])]
    categories = [name for name in words if frame[name].nunique() <= max(FEW, len(frame) // 20)]
    left_out = [name for name in words if name not in categories]
    if left_out:
        notes.append(f"left out, since almost every row differs: {', '.join(left_out)}")
    numbers = [name for name in columns if name != chosen and name not in words]
    options: dict[str, Any] = {"path": str(path), "target": chosen, "features": numbers}
    if categories:
        options["categories"] = categories
    is_classes = _is_classes(frame[chosen])
    return Guess(
        path.suffix.removeprefix("."),
        options,
        "tabular_classification" if is_classes else "tabular_regression",
        tuple(notes),
    )


def _is_classes(column: Any) -> bool:
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return True
    return bool(pd.api.types.is_integer_dtype(column) and column.nunique() <= FEW)


def _arrays(path: Path) -> Guess:
    try:
        with np.load(path, allow_pickle=False) as content:
            shapes = {name: content[name].shape for name in content.files}
            kinds = {name: content[name].dtype.kind for name in content.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    x = _first(shapes, ("x", "x_train", "images", "data"))
    y = _first(shapes, ("y", "y_train", "labels", "target"))
    if x is None or y is None:
        names = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise DataError(f"{path} has no arrays called x and y; it has: {names}")
    is_classes = kinds[y] in "iuUSb"
    dimensions = len(shapes[x])
    tasks = {
        2: "tabular_classification" if is_classes else "tabular_regression",
        3: "sequence_classification" if is_classes else "forecasting",
        4: "image_classification",
    }
    if dimensions not in tasks:
        raise DataError(f"{path}: {x} has the shape {shapes[x]}; 2 (table), 3 (series) or 4 (images) axes are expected")
    options: dict[str, Any] = {"path": str(path), "x": x, "y": y}
    if dimensions == 3:
        options["kind"] = "series"
    if {"x_test", "y_test"} <= set(shapes):
        options |= {"x_test": "x_test", "y_test": "y_test"}
    return Guess("npz", options, tasks[dimensions], is_parted="x_test" in options)


def _first(names: Mapping[str, Any], wanted: Sequence[str]) -> str | None:
    return next((name for name in wanted if name in names), None)

"""Examples whose targets nobody knows yet: image files, tables, arrays, read as training read its own, in batches.

Images are decoded batch by batch, so that a folder of a million of them takes no more memory than one of a thousand; a
table or an `.npz` file is read whole, as in training.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from searchlab.data import SOURCES, Array, Examples
from searchlab.data.sources import _picture, csv, parquet
from searchlab.data.sources._frame import runs
from searchlab.data.sources._sheet import Sheet
from searchlab.errors import DataError, nearest

BATCH_BYTES = 32 << 20
"""Of one batch as 32-bit numbers, about."""

BATCH_ROWS = 1024
"""The most examples of a batch."""

UNREADABLE = (OSError, ValueError, EOFError, MemoryError, TypeError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises over a file that is no .npz."""

LEFT_BEHIND = ("Thumbs.db", "desktop.ini")
"""What file managers leave in folders."""

TABLES = (".csv", ".parquet", ".npz")
"""Endings of files that hold many examples."""


@dataclass(frozen=True)
class Batch:
    """Some examples, and what each is called in the answer; and which files could not be read, and why."""

    names: tuple[str | int, ...]
    examples: Examples
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unlabelled:
    """Everything there is to tell about."""

    column: str
    """What the names are: "file", or "row" (from 1)."""
    count: int
    """Of examples, those that will turn out to be unreadable among them."""
    batches: Iterator[Batch]


def images(paths: Sequence[Path], shape: tuple[int, int, int], options: Mapping[str, Any]) -> Unlabelled:
    """The image files among `paths` and in the folders among them, as (height, width, channels) `shape`, uint8.

    `options` may say `fit` and `max_pixels`, as the source `image_folder` does.  Files that are none are told with the
    batch that they would have been in.

    Raises:
        DataError: There are none at all.
    """
    files = [file for path in paths for file in (_walk(path) if path.is_dir() else [path])]
    if not files:
        raise DataError(f"there is no file in {', '.join(map(str, paths))}")
    size = _batch_size(shape)

    def batches() -> Iterator[Batch]:
        for start in range(0, len(files), size):
            names, pixels, faults = [], [], []
            for file in files[start : start + size]:
                picture = _decoded(file, shape, options)
                if isinstance(picture, str):
                    faults.append(f"{file}: {picture}")
                else:
                    names.append(str(file))
                    pixels.append(picture)
            x = np.stack(pixels) if pixels else np.empty((0, *shape), np.uint8)
            yield Batch(tuple(names), _without_targets(x), tuple(faults))

    return Unlabelled("file", len(files), batches())


def table(
    path: Path, *, columns: Sequence[str] | None, category_columns: Sequence[str], options: Mapping[str, Any]
) -> Unlabelled:
    """The rows of a CSV or Parquet file; all its columns where `columns` is None.

    Raises:
        DataError: The file is no such table, or lacks columns; every fault of it at once.
    """
    sheet = _sheet(path, options)
    names = [str(name) for name in sheet.frame.columns] if columns is None else columns
    x, words = _numbers(sheet, names), _words(sheet, category_columns)
    sheet.raise_all()
    return _rows(_without_targets(x, words), np.arange(1, len(x) + 1))


def series(path: Path, *, columns: Sequence[str], window: int, options: Mapping[str, Any]) -> Unlabelled:
    """Every window of a CSV or Parquet file whose rows are moments, called by its last row; the last one is among them.

    Raises:
        DataError: As `table`; or values are missing, or no series is as long as a window.
    """
    sheet = _sheet(path, options)
    group, apart = (_filled(sheet, options.get(use), use) for use in ("group", "series"))
    x = _numbers(sheet, columns)
    holes = np.asarray(np.isnan(x).any(axis=1))
    if not sheet.faults and holes.any():
        sheet.fault(f"a series must have no holes, but values are missing {sheet.where(holes)}.")
    sheet.raise_all()
    stride = int(_option("stride", options, "csv"))
    pieces, ends = [], []
    for rows in runs(group, apart, len(x)):
        for end in range(len(rows), window - 1, -stride):  # from the end: the newest window is the one that is wanted
            pieces.append(x[rows[end - window : end]])
            ends.append(rows[end - 1] + 1)
    if not pieces:
        raise DataError(f"{path}: the model sees {window} rows at once, but no series in the file is that long.")
    order = np.argsort(ends)
    return _rows(_without_targets(np.stack(pieces)[order]), np.asarray(ends)[order])


def arrays(path: Path, *, name: str, kind: str) -> Unlabelled:
    """The examples of the array `name` in an `.npz` file.

    Raises:
        DataError: The file is no such file, or has no such array.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            known = list(file.files)
            x = file[name] if name in known else None
    except (*UNREADABLE, AttributeError) as error:
        raise DataError(f"{path} cannot be read as .npz: {error} (arrays of Python objects are refused).") from error
    if x is None or x.ndim == 0:
        raise DataError(f"{path} has no array {name!r}.{nearest(name, known)} Arrays: {', '.join(known)}.")
    if kind == "images" and x.ndim == 3:
        x = x[..., None]
    return _rows(_without_targets(x), np.arange(1, len(x) + 1))


def _decoded(file: Path, shape: tuple[int, int, int], options: Mapping[str, Any]) -> Array | str:
    """One image, or why it is none."""
    if not file.is_file():
        return "there is no such file" if not file.exists() else "it is no regular file"
    return _picture.pixels(
        file,
        size=shape[:2],
        channels=shape[2],
        fit=_option("fit", options, "image_folder"),
        max_pixels=_option("max_pixels", options, "image_folder"),
    )


def _walk(folder: Path) -> list[Path]:
    """All visible files below `folder`, in the order of their names; links to folders are not followed."""
    found = []
    for path in sorted(path for path in folder.iterdir() if path.name[0] != "." and path.name not in LEFT_BEHIND):
        found += _walk(path) if path.is_dir() and not path.is_symlink() else [path]
    return found


def _sheet(path: Path, options: Mapping[str, Any]) -> Sheet:
    missing = tuple(_option("missing", options, "csv"))
    if path.suffix.lower() == ".parquet":
        return parquet.sheet(str(path), path, missing=missing)
    return csv.sheet(
        str(path),
        path,
        separator=_option("separator", options, "csv"),
        encoding=_option("encoding", options, "csv"),
        missing=missing,
    )


def _option(name: str, options: Mapping[str, Any], source: str) -> Any:
    """The option `name`, which is that of `source` by default: the study may have been made from another one."""
    if name in options:
        return options[name]
    return SOURCES.get(source).Options.model_fields[name].get_default(call_default_factory=True)


def _numbers(sheet: Sheet, names: Sequence[str]) -> Array:
    """(n, columns) float64; faults where columns are not there or hold no numbers."""
    there = [name for name in names if sheet.has(name, "features")]
    found = [sheet.numbers(name) for name in there]
    return np.stack(found, axis=1) if found else np.zeros((len(sheet.frame), 0))


def _filled(sheet: Sheet, name: str | None, use: str) -> Array | None:
    return sheet.filled(name, use) if name is not None and sheet.has(name, use) else None


def _words(sheet: Sheet, names: Sequence[str]) -> Array | None:
    """(n, columns) strings."""
    found = [sheet.words(name) for name in names if sheet.has(name, "categories")]
    return np.stack(found, axis=1) if found else None


def _without_targets(x: Array, categories: Array | None = None) -> Examples:
    return Examples(x, y=np.zeros((len(x), 0)), categories=categories)


def _rows(examples: Examples, names: Array) -> Unlabelled:
    """Examples that are in memory, in batches."""
    size = _batch_size(examples.x.shape[1:])

    def batches() -> Iterator[Batch]:
        for start in range(0, len(examples), size):
            rows = np.arange(start, min(start + size, len(examples)))
            yield Batch(tuple(int(name) for name in names[rows]), examples.take(rows))

    return Unlabelled("row", len(examples), batches())


def _batch_size(shape: Sequence[int]) -> int:
    return int(np.clip(BATCH_BYTES // max(1, 4 * int(np.prod(shape))), 1, BATCH_ROWS))

"""From a table file to a collection: which column is what, and windows where the rows are moments of a series."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Array, Collection, Examples
from searchlab.data.sources._sheet import Sheet
from searchlab.data.sources._windows import join, windows
from searchlab.errors import DataError

MISSING = ("", "NA", "N/A", "NaN", "nan", "null")
"""Cells that mean "nothing here", unless a study says otherwise."""


class FrameOptions(options.Options):
    """What the columns of a table file mean."""

    path: str = options.on_disk()
    """The file, counted from the study file's folder."""
    target: str
    """The column that is learned."""
    target_type: Literal["auto", "label", "number"] = "auto"
    """"label" for classes, "number" for quantities; "auto" takes whole numbers and words as labels."""
    features: list[str] | None = None
    """The columns of numbers to learn from; all others of the file where absent."""
    categories: list[str] = pydantic.Field(default_factory=list)
    """The columns of words to learn from."""
    group: str | None = None
    """The column whose equal values never part: patient, user, document (`by: group`)."""
    time: str | None = None
    """The column of moments, numbers or ISO 8601 times (`by: time`)."""
    fold: str | None = None
    """The column that says train, validation or test (`by: given`)."""
    series: str | None = None
    """With `window`: the column that tells several series apart."""
    missing: list[str] = pydantic.Field(default_factory=lambda: list(MISSING))
    """Cells that mean "nothing here"."""
    window: int | None = pydantic.Field(None, ge=1)
    """Rows that a model sees at once; makes the table a series that is foretold."""
    horizon: int = pydantic.Field(1, ge=1)
    """With `window`: rows after it whose target must be foretold."""
    stride: int = pydantic.Field(1, ge=1)
    """With `window`: rows from the start of one to the start of the next."""

    @pydantic.model_validator(mode="after")
    def _roles_differ(self) -> FrameOptions:
        single = [self.target, self.group, self.time, self.fold, self.series]
        roles = [name for name in [*single, *self.categories] if name is not None]
        twice = sorted({name for name in roles if roles.count(name) > 1})
        if twice:
            raise ValueError(f"a column has one role only, but {', '.join(map(repr, twice))} has several")
        if self.series is not None and self.window is None:
            raise ValueError("`series` needs `window`")
        if self.window is not None and self.categories:
            raise ValueError("windows hold numbers only; leave `categories` out")
        return self


def collect(sheet: Sheet, options: FrameOptions) -> Collection:
    """The collection that `options` ask for.

    Raises:
        DataError: Every fault of the file together, by column and row.
    """
    named = {
        "target": options.target,
        "group": options.group,
        "time": options.time,
        "fold": options.fold,
        "series": options.series,
    }
    present = [sheet.has(name, use) for use, name in named.items() if name is not None]
    present += [sheet.has(name, "features") for name in options.features or []]
    present += [sheet.has(name, "categories") for name in options.categories]
    if not all(present):
        sheet.raise_all()
    if not len(sheet.frame):
        raise DataError(f"{sheet.file} has a header, but no rows.")
    return _table(sheet, options) if options.window is None else _series(sheet, options, options.window)


def _features(sheet: Sheet, options: FrameOptions, apart: list[str | None]) -> list[str]:
    if options.features is not None:
        return options.features
    return [str(name) for name in sheet.frame.columns if name not in apart and name not in options.categories]


def _table(sheet: Sheet, options: FrameOptions) -> Collection:
    names = _features(sheet, options, [options.target, options.group, options.time, options.fold])
    if options.target in names or options.target in options.categories:
        raise DataError(f"{sheet.file}: the target {options.target!r} is among its own features; leave it out of them.")
    if not names and not options.categories:
        raise DataError(f"{sheet.file}: no column is left to learn from; give `features` or `categories`.")
    moments = sheet.moments(options.time) if options.time else None
    words = [sheet.words(name) for name in options.categories]
    examples = Examples(
        x=np.stack([sheet.numbers(name) for name in names], axis=1) if names else np.zeros((len(sheet.frame), 0)),
        y=sheet.labels(options.target, options.target_type),
        categories=np.stack(words, axis=1) if words else None,
        group=sheet.filled(options.group, "group") if options.group else None,
        span=np.stack([moments, moments], axis=1) if moments is not None else None,
        fold=_folds(sheet, options.fold),
    )
    sheet.raise_all()
    description = f"{len(examples)} rows of {sheet.file}: {options.target} from {len(names) + len(words)} columns"
    return Collection(examples, "table", description, tuple(names), tuple(options.categories))


def _series(sheet: Sheet, options: FrameOptions, window: int) -> Collection:
    names = _features(sheet, options, [options.group, options.time, options.fold, options.series])
    values = np.stack([sheet.numbers(name) for name in names], axis=1)
    target = sheet.numbers(options.target)
    moments = sheet.moments(options.time) if options.time else None
    group = sheet.filled(options.group, "group") if options.group else None
    series = sheet.filled(options.series, "series") if options.series else None
    fold = _folds(sheet, options.fold)
    holes = np.isnan(target) | np.isnan(values).any(axis=1)
    if holes.any() and not sheet.faults:
        sheet.fault(f"a series must have no holes, but values are missing {sheet.where(holes)}.")
    sheet.raise_all()
    pieces, groups, folds = [], [], []
    for rows in runs(group, series, len(target)):
        _check_order(sheet, moments, rows)
        clock = np.arange(len(rows)) if moments is None else moments[rows]
        if len(rows) < window + options.horizon:
            raise DataError(
                f"{sheet.file}: a window of {window} and a horizon of {options.horizon} need "
                f"{window + options.horizon} rows, but the series that starts in {sheet.unit} "
                f"{sheet.rows[rows[0]]} has {len(rows)}. "
                "Use a shorter window."
            )
        piece = windows(
            values[rows], target[rows], window=window, horizon=options.horizon, stride=options.stride, moments=clock
        )
        starts = rows[np.arange(len(piece)) * options.stride]
        ends = rows[np.arange(len(piece)) * options.stride + window + options.horizon - 1]
        keep = np.ones(len(piece), dtype=bool)
        if fold is not None:  # a window belongs to a part when all its rows do
            changes = np.concatenate([[0], np.cumsum(fold[rows][1:] != fold[rows][:-1])])
            offset = np.arange(len(piece)) * options.stride
            keep = changes[offset] == changes[offset + window + options.horizon - 1]
            folds.append(fold[ends][keep])
        pieces.append(piece.take(np.flatnonzero(keep)))
        if group is not None:
            groups.append(group[starts][keep])
    found = join(pieces)
    examples = Examples(
        x=found.x,
        y=found.y,
        span=found.span,
        group=np.concatenate(groups) if groups else None,
        fold=np.concatenate(folds) if folds else None,
    )
    description = (
        f"{len(examples)} windows of {window} rows of {sheet.file}: the next {options.horizon} of {options.target}"
    )
    return Collection(examples, "series", description, tuple(names))


def _folds(sheet: Sheet, name: str | None) -> Array | None:
    if name is None:
        return None
    words = sheet.filled(name, "fold")
    unknown = ~np.isin(words, ["train", "validation", "test", ""])
    if unknown.any():
        sheet.fault(f"column {name!r} must say train, validation or test, but does not {sheet.where(unknown)}.")
    return words


def runs(group: Array | None, series: Array | None, n: int) -> list[Array]:
    """The rows of each series, in the order of the file."""
    keys = [key for key in (group, series) if key is not None]
    if not keys:
        return [np.arange(n)]
    number = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    return [np.flatnonzero(number == one) for one in range(number.max() + 1)]


def _check_order(sheet: Sheet, moments: Array | None, rows: Array) -> None:
    if moments is None:
        return
    late = np.flatnonzero(np.diff(moments[rows]) <= 0)
    if len(late):
        line, before = sheet.rows[rows[late[0] + 1]], sheet.rows[rows[late[0]]]
        raise DataError(
            f"{sheet.file}: the rows of a series must follow one another in time, but {sheet.unit} {line} is not later "
            f"than {sheet.unit} {before} ({len(late)} such places). Sort the file, remove repeated times, give times "
            "an offset from UTC, or name the column that tells several series apart under `series`."
        )

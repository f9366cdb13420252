"""Columns of a table file as typed arrays.  Nothing is coerced silently: each cell that does not fit is named.

Faults are collected, so that a person mends the file once: `Sheet.raise_all` at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab.data import Array
from searchlab.errors import DataError, nearest
from searchlab.lazy import lazy

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy("pandas")

WHOLE = r"[+-]?(?:0|[1-9]\d*)"
NUMBER = r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
"""Without leading zeros: `02134` is a name, such as a postal code."""


@dataclass(frozen=True)
class Sheet:
    """A table as it was read: columns of words (CSV) or of types of their own (Parquet)."""

    file: str
    frame: pd.DataFrame
    rows: Array
    """(n,) the number that a person would look for: a line of the file, or a row from 1."""
    unit: str
    """"line" or "row"."""
    missing: tuple[str, ...] = ("",)
    """Words that mean "nothing here"."""
    faults: list[str] = field(default_factory=list)

    def fault(self, words: str) -> None:
        """Keep a fault for `raise_all`."""
        self.faults.append(f"{self.file}: {words}")

    def raise_all(self) -> None:
        """Raise one `DataError` with every fault found so far, if there is any."""
        if self.faults:
            raise DataError("\n".join(self.faults))

    def has(self, name: str, use: str) -> bool:
        """Whether there is a column `name`; a fault if not."""
        known = [str(column) for column in self.frame.columns]
        if name in known:
            return True
        self.fault(f"no column is called {name!r} ({use}).{nearest(name, known)} Columns: {', '.join(known)}.")
        return False

    def text(self, name: str) -> Any:
        """The column as pandas words, blanks at both ends removed; what is missing is ""."""
        column = self.frame[name]
        words = column.astype(str).where(column.notna(), "").str.strip()
        return words.where(~words.isin(self.missing), "")

    def is_typed(self, name: str) -> bool:
        """Whether the file itself says that the column holds numbers or booleans."""
        return bool(pd.api.types.is_numeric_dtype(self.frame[name]))  # booleans included

    def numbers(self, name: str) -> Array:
        """(n,) float64, NaN where missing; a fault where there is text or a number too large."""
        if self.is_typed(name):
            values = self.frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            words = self.text(name)
            bad = ((words != "") & ~words.str.fullmatch(NUMBER)).to_numpy(dtype=bool)
            if bad.any():
                self.fault(
                    f"column {name!r} should hold numbers, but has text {self.where(bad, words)}. "
                    "Mend these cells, or list the column under `categories`, or leave it out of `features`."
                )
                return np.full(len(words), np.nan)
            values = np.array(words.where(words != "", "nan").tolist(), dtype=np.float64)
        if np.isinf(values).any():
            self.fault(f"column {name!r} has numbers that are infinite or too large {self.where(np.isinf(values))}.")
        return values

    def words(self, name: str) -> Array:
        """(n,) words, "" where missing."""
        return np.array(self.text(name).tolist(), dtype=np.str_).reshape(-1)

    def labels(self, name: str, kind: str) -> Array:
        """(n,) targets: whole numbers, words or real numbers; a fault where one is missing or of another type.

        `kind` is "label" (words or whole numbers), "number" (real) or "auto": what all cells are.
        """
        words = self.text(name)
        empty = (words == "").to_numpy(dtype=bool)
        if empty.any():
            self.fault(f"the target {name!r} is missing {self.where(empty)}; remove these rows or fill them in.")
            return np.zeros(len(words))
        whole = words.str.fullmatch(WHOLE).to_numpy(dtype=bool)
        real = words.str.fullmatch(NUMBER).to_numpy(dtype=bool)
        typed_real = self.is_typed(name) and self.frame[name].dtype.kind == "f"
        if kind == "number" or (kind == "auto" and (typed_real or (real.all() and not whole.all()))):
            return self.numbers(name)
        if kind == "auto" and real.any() and not real.all():
            fewer = real if real.sum() * 2 < len(real) else ~real
            self.fault(
                f"the target {name!r} holds numbers and text; the fewer ones are {self.where(fewer, words)}. "
                "Mend them, or say `target_type: label`."
            )
        if whole.all() and (words.str.len() < 19).all():
            return np.array([int(word) for word in words], dtype=np.int64)
        return self.words(name)

    def filled(self, name: str, use: str) -> Array:
        """(n,) words, none of them missing; a fault otherwise."""
        words = self.words(name)
        if (words == "").any():
            self.fault(f"the {use} {name!r} is missing {self.where(words == '')}.")
        return words

    def moments(self, name: str) -> Array:
        """(n,) whole numbers from 0 in the order of time; equal times get equal ones.

        Numbers, or ISO 8601 times that either all have an offset from UTC or all have none.
        """
        words = self.filled(name, "time")
        column = self.text(name)
        if (words == "").any():
            return np.zeros(len(words), dtype=np.int64)
        if self.is_typed(name) or column.str.fullmatch(NUMBER).all():
            values: Array = self.numbers(name)
        else:
            values = self._times(name, column)
        return np.unique(values, return_inverse=True)[1].astype(np.int64)

    def _times(self, name: str, words: Any) -> Array:
        offset = words.str.contains(r"(?:[Zz]|[+-]\d\d(?::?\d\d)?)$") & words.str.contains(":")
        if offset.any() and not offset.all():
            fewer = (offset if offset.sum() * 2 < len(offset) else ~offset).to_numpy(dtype=bool)
            self.fault(
                f"some times in {name!r} say their offset from UTC and some do not: {self.where(fewer, words)}. "
                "Give all of them one, or none."
            )
            return np.arange(len(words))
        times = pd.to_datetime(words, format="ISO8601", errors="coerce", utc=True)
        bad = times.isna().to_numpy(dtype=bool)
        if bad.any():
            self.fault(
                f"column {name!r} should hold times such as 2024-05-01 or 2024-05-01T12:00, "
                f"but has {self.where(bad, words)}."
            )
            return np.arange(len(words))
        return np.asarray(times.astype("int64").to_numpy())

    def where(self, wrong: Array, words: Any = None, most: int = 8) -> str:
        """`in lines 3 ('abc'), 7 ('x') and 12 more`."""
        places = np.flatnonzero(wrong)
        shown = [
            f"{self.rows[place]}" + ("" if words is None else f" ({str(words.iloc[place])[:40]!r})")
            for place in places[:most]
        ]
        more = f" and {len(places) - most} more" if len(places) > most else ""
        return f"in {self.unit}{'s' if len(places) > 1 else ''} {', '.join(shown)}{more}"


def check_names(file: str, names: Sequence[str]) -> None:
    """Raise a `DataError` where a column has no name or shares it with another."""
    blank = [str(number) for number, name in enumerate(names, start=1) if not name.strip()]
    twice = sorted({name for name in names if names.count(name) > 1 and name.strip()})
    if blank:
        raise DataError(f"{file}: the header has no name for column {', '.join(blank)}.")
    if twice:
        raise DataError(f"{file}: the header names more than one column {', '.join(map(repr, twice))}.")

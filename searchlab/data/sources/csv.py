"""A CSV file: columns by name, every cell checked, nothing dropped or coerced in silence."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Array, Collection
from searchlab.data.sources._frame import FrameOptions, collect
from searchlab.data.sources._paths import file_at
from searchlab.data.sources._sheet import Sheet, check_names
from searchlab.errors import DataError
from searchlab.lazy import lazy

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy("pandas")

LONGEST_LINE = 1_000_000
"""Bytes; a longer line is a broken quote or no CSV."""


class CsvOptions(FrameOptions):
    """Settings of the source `csv`."""

    separator: str = pydantic.Field(",", min_length=1, max_length=1)
    """The character between cells."""
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"
    """How bytes are letters; a byte order mark of UTF-8 is taken off."""


class Csv:
    """The source `csv`."""

    Options: type[options.Options] = CsvOptions

    def load(self, options: CsvOptions, folder: Path) -> Collection:
        """One example a row, or windows of rows; a message names lines as an editor counts them."""
        path = file_at(options.path, folder)
        return collect(
            sheet(
                options.path,
                path,
                separator=options.separator,
                encoding=options.encoding,
                missing=tuple(options.missing),
            ),
            options,
        )


def sheet(name: str, path: Path, *, separator: str, encoding: str, missing: tuple[str, ...]) -> Sheet:
    """The columns of the file at `path`, which messages call `name`.

    Raises:
        DataError: It cannot be read, or rows and header differ.
    """
    with path.open("rb") as file:
        names, lines = _scan(name, file, separator, encoding)
    frame = pd.read_csv(
        path,
        sep=separator,
        encoding="utf-8-sig" if encoding == "utf-8" else encoding,
        dtype=str,
        header=0,
        names=names,
        index_col=False,
        na_filter=False,
    )
    if len(frame) != len(lines):
        raise DataError(
            f"{name} reads as {len(lines)} rows or as {len(frame)}, as one takes its quotes; "
            'put cells that hold quotes or line breaks in "…" and double the quotes inside.'
        )
    return Sheet(name, frame, lines, "line", missing)


def _scan(name: str, file: BinaryIO, separator: str, encoding: str) -> tuple[list[str], Array]:
    """The header and the line on which each row starts, after every row was seen to have as many cells as the header.

    pandas alone would fill short rows with missing values.
    """
    reader = csv.reader(_decoded(name, file, encoding), delimiter=separator, strict=True)
    faults: list[str] = []
    starts: list[int] = []
    header: list[str] = []
    blank = 0
    try:
        header = next(reader, [])
        check_names(name, header)
        start = reader.line_num + 1
        for row in reader:
            if not row:
                blank = blank or start
            else:
                if blank:
                    faults.append(f"line {blank} is blank, but rows follow")
                    blank = 0
                if len(row) != len(header):
                    faults.append(f"line {start} has {len(row)} cells, but the header has {len(header)}")
                starts.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{name}: line {reader.line_num} cannot be read as CSV: {error}.") from error
    if faults:
        more = f"\n  … and {len(faults) - 10} more" if len(faults) > 10 else ""
        hint = "" if len(header) > 1 else f" (separator {separator!r}; is it another?)"
        raise DataError(f"{name}: rows and header differ{hint}:\n  " + "\n  ".join(faults[:10]) + more)
    return header, np.array(starts, dtype=np.int64)


def _decoded(name: str, file: BinaryIO, encoding: str) -> Iterator[str]:
    for number in itertools.count(1):
        raw = file.readline(LONGEST_LINE + 1)
        if not raw:
            return
        if len(raw) > LONGEST_LINE:
            raise DataError(f"{name}: line {number} is longer than {LONGEST_LINE} bytes; is a quote left open?")
        if b"\0" in raw:
            raise DataError(f"{name}: line {number} holds a NUL byte; a UTF-16 file must be saved as UTF-8.")
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name}: line {number} is not {encoding} (byte {raw[error.start]:#04x}); "
                "if it was saved as latin-1 or cp1252, say so with `encoding:`."
            ) from error
        yield text.removeprefix("\ufeff") if number == 1 else text


SOURCE = Csv()

"""A Parquet file: columns by name, with the types that the file gives them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from searchlab import options
from searchlab.data import Collection
from searchlab.data.sources._frame import FrameOptions, collect
from searchlab.data.sources._paths import file_at
from searchlab.data.sources._sheet import Sheet, check_names
from searchlab.errors import DataError
from searchlab.lazy import lazy

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy("pandas")


class ParquetOptions(FrameOptions):
    """Settings of the source `parquet`."""


class Parquet:
    """The source `parquet`."""

    Options: type[options.Options] = ParquetOptions

    def load(self, options: ParquetOptions, folder: Path) -> Collection:
        """One example a row, or windows of rows; a message counts rows from 1."""
        path = file_at(options.path, folder)
        return collect(sheet(options.path, path, missing=tuple(options.missing)), options)


def sheet(name: str, path: Path, *, missing: tuple[str, ...]) -> Sheet:
    """The columns of the file at `path`, which messages call `name`.

    Raises:
        DataError: It cannot be read, or columns share a name.
    """
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:  # pyarrow's own errors are both
        raise DataError(f"{name} cannot be read as Parquet: {error}") from error
    frame = frame.reset_index(drop=frame.index.names == [None])
    check_names(name, [str(column) for column in frame.columns])
    return Sheet(name, frame, np.arange(1, len(frame) + 1), "row", missing)


SOURCE = Parquet()

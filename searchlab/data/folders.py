"""Examples on disk: one .npy file for each array, so that every child maps the same pages instead of copying them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from searchlab.data import Array, Examples
from searchlab.data.digest import arrays_of, of_array
from searchlab.data.rows import pieces, unmapped
from searchlab.errors import DataError


def write_examples(folder: Path, part: str, examples: Examples) -> dict[str, str]:
    """Write `part.x.npy`, `part.y.npy`, … and return the digest of each array by name."""
    arrays = arrays_of(examples)
    for name, array in arrays.items():
        with (folder / f"{part}.{name}.npy").open("wb") as file:
            header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for piece in pieces(array):
                file.write(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
            file.flush()
            os.fsync(file.fileno())
    return {name: of_array(array) for name, array in arrays.items()}


def read_examples(folder: Path, part: str, digests: Mapping[str, str], *, check: bool) -> Examples:
    """The examples of `part`, mapped from their files; with `check` every byte is compared with its digest.

    Raises:
        DataError: A file is missing, unreadable or (with `check`) has other content than was written.
    """
    arrays: dict[str, Any] = {}
    for name, digest in digests.items():
        path = folder / f"{part}.{name}.npy"
        try:
            array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} cannot be read ({error}); remove {folder} and prepare the data again.") from error
        if check and of_array(unmapped(array)) != digest:
            raise DataError(f"{path} has changed since it was written; remove {folder} and prepare the data again.")
        arrays[name] = array
    return Examples(**arrays)


def make_folder(target: Path, fill: Callable[[Path], object]) -> None:
    """Make `target` by filling a hidden folder beside it and renaming that: it is whole or absent.

    The folder is for its owner alone (0700).  If another process made `target` meanwhile, theirs stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".tmp-", ignore_cleanup_errors=True) as name:
        fresh = Path(name, "fresh")
        fresh.mkdir(mode=0o700)
        fill(fresh)
        sync_folder(fresh)
        try:
            fresh.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` written to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The weights of a trial as one `.npz` file: plain arrays in the model's own order, nothing that could run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from searchlab.atomic import write_with
from searchlab.data import Array
from searchlab.errors import DataError


def name_of(trial: int) -> str:
    """The file of trial `trial` in the plan's weights folder."""
    return f"trial-{trial:04d}.weights.npz"


def save(path: Path, weights: Sequence[Array]) -> Path:
    """Write `weights` to `path`, whole or not at all."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # an open file keeps NumPy from adding an ending
            np.savez(file, **{f"{number:04d}": array for number, array in enumerate(weights)})  # type: ignore[arg-type]

    return write_with(path, write)


def load(path: Path, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """The weights in `path`, which must have `shapes`.

    Raises:
        DataError: No such file, not a weights file, or the weights of another model.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = [content[name] for name in sorted(content.files)]
    except FileNotFoundError:
        raise DataError(f"{path}: there are no such weights") from None
    except Exception as error:  # NumPy and zipfile have many words for a broken file
        raise DataError(f"{path}: this file of weights cannot be read ({error})") from error
    found = [array.shape for array in arrays]
    if found != list(shapes):
        raise DataError(f"{path}: these weights belong to another model: {found} here, {list(shapes)} expected")
    return arrays

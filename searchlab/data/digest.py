"""Our own content digest: sha256 over type, shape and every byte, so that one changed cell changes it.

Why not MLflow's: it is 8 hex digits over the first 10 000 scalars (`mlflow/data/digest_utils.py`), and calls two
data sets equal that differ in all later rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from searchlab.data import Array, Examples
from searchlab.data.rows import is_in_memory, pieces
from searchlab.errors import DataError

ARRAYS = tuple(one.name for one in fields(Examples))
"""The arrays of `Examples`, in the order in which they are hashed."""


def of_array(array: Array) -> str:
    """The digest of one array; equal for equal values in any memory layout or byte order, but not in another type.

    Raises:
        DataError: The array holds Python objects, which have no bytes of their own.
    """
    plain = canonical(array)
    digest = hashlib.sha256(json.dumps([plain.dtype.str, plain.shape]).encode())
    for piece in pieces(plain) if plain.ndim else (plain,):
        digest.update(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def of_examples(examples: Examples) -> str:
    """The digest of all arrays of `examples`, absent ones included."""
    return of_values({name: of_array(array) for name, array in arrays_of(examples).items()})


def of_values(values: Mapping[str, Any]) -> str:
    """The digest of plain JSON values; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()


def arrays_of(examples: Examples) -> dict[str, Array]:
    """The arrays that are there, by name."""
    found = {name: getattr(examples, name) for name in ARRAYS}
    return {name: array for name, array in found.items() if array is not None}


def canonical(array: Array) -> Array:
    """The same values, contiguous, little-endian, and words no wider than the longest one.

    The width matters: cut from a larger array, words keep the width of the longest word of *all* rows, and so the
    bytes of the training part would tell something about the test part.

    Raises:
        DataError: The array holds Python objects.
    """
    if array.dtype.kind not in "biufU":
        raise DataError(f"arrays must hold numbers or words, not {array.dtype}.")
    if array.dtype.kind == "U":
        longest = int(np.strings.str_len(array).max()) if array.size else 0
        return np.ascontiguousarray(array, dtype=f"<U{max(1, longest)}")
    if not is_in_memory(array) and array.dtype == array.dtype.newbyteorder("<"):
        return array
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def canonical_examples(examples: Examples) -> Examples:
    """`examples` with every array canonical."""
    return replace(examples, **{name: canonical(array) for name, array in arrays_of(examples).items()})

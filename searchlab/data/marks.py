"""A mark for each example: equal for equal inputs, pixel by pixel or cell by cell, and for no others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from searchlab.data import Array, Examples
from searchlab.data.rows import pieces


def marks(examples: Examples) -> list[bytes]:
    """16 bytes for each of `examples`, from its inputs alone; those of tables and series by their canonical values."""
    words = [""] * len(examples) if examples.categories is None else ["\0".join(row) for row in examples.categories]
    return [
        hashlib.blake2b(x.tobytes() + word.encode(), digest_size=16).digest()
        for x, word in zip(_each(examples.x), words, strict=True)
    ]


def shared(some: list[bytes], others: list[bytes]) -> int:
    """How many of `some` are among `others`."""
    known = set(others)
    return sum(mark in known for mark in some)


def _each(array: Array) -> Iterator[Array]:
    for piece in pieces(array):
        yield from piece

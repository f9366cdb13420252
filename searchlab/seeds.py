"""Random streams by name: the draws of one thing never disturb those of another.

`stream(study_seed, "order", trial, epoch)` is the same in every process and on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

Path = tuple[str | int, ...]

_record: ContextVar[dict[int, Path] | None] = ContextVar("record", default=None)


def derive(seed: int, *path: str | int) -> int:
    """A seed in [0, 2**32) that belongs to `path` under `seed`; any other path gives an unrelated one."""
    text = "/".join([str(seed), *map(str, path)])
    derived = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
    record = _record.get()
    if record is not None:
        record[derived] = path
    return derived


@contextmanager
def recorded() -> Iterator[dict[int, Path]]:
    """Inside, every seed that `derive` gives is noted with its path: what the same thing gets under another seed."""
    record: dict[int, Path] = {}
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)


def stream(seed: int, *path: str | int) -> np.random.Generator:
    """A NumPy generator of its own for `path` under `seed`."""
    return np.random.default_rng(derive(seed, *path))

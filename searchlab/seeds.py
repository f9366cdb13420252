"""Random streams by name: the draws of one thing never disturb those of another.

`stream(study_seed, "order", trial, epoch)` is the same in every process and on every machine.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *path: str | int) -> int:
    """A seed in [0, 2**32) that belongs to `path` under `seed`; any other path gives an unrelated one."""
    text = "/".join([str(seed), *map(str, path)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


def stream(seed: int, *path: str | int) -> np.random.Generator:
    """A NumPy generator of its own for `path` under `seed`."""
    return np.random.default_rng(derive(seed, *path))

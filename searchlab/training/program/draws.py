"""Keras's initial weights on JAX, drawn with NumPy: the same numbers without a compilation for each shape.

Why: JAX compiles a kernel's draw, 0.3 to 0.9 s for every new shape and half of what a new network costs there; NumPy
has the numbers in a millisecond.  They are those of JAX's default generator, Threefry-2x32 (Salmon et al. 2011,
"Parallel random numbers: as easy as 1, 2, 3"), and of its way from bits to floats, to the last places of float32.
Whatever is asked for otherwise (another generator, another dtype, a state in place of a seed) is left to Keras.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from keras.src import random as keras_random
from keras.src.initializers import random_initializers

from searchlab.data import Array

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
ROOT_OF_TWO = np.float32(math.sqrt(2.0))

SMALL_TAILS = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087),
    *(-0.00125372503, -0.00417768164, 0.246640727, 1.50140941),
)
LARGE_TAILS = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773),
    *(-0.0076224613, 0.00943887047, 1.00167406, 2.83297682),
)
"""Polynomials of the inverse error function (Giles 2012, "Approximating the erfinv function"), as XLA has them."""


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Inside, Keras's initializers draw with NumPy."""
    if not is_usual_generator():
        yield
        return
    before = random_initializers.random, random_initializers.ops
    random_initializers.random, random_initializers.ops = _Instead(_RANDOM, before[0]), _Instead(_OPS, before[1])
    try:
        yield
    finally:
        random_initializers.random, random_initializers.ops = before


def is_usual_generator() -> bool:
    """Whether JAX draws as it does by default: each number by its place, so that a longer row begins as a shorter."""
    return bool(jax.config.jax_threefry_partitionable and jax.config.jax_default_prng_impl == "threefry2x32")


class _Instead:
    """A module with other functions in place of some of its own."""

    def __init__(self, functions: dict[str, Any], module: Any) -> None:
        self._module = module
        vars(self).update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def bits(seed: int, count: int) -> Array:
    """(count,) uint32: the first random bits of the key (seed, 0)."""
    keys = np.array([seed & 0xFFFFFFFF, 0, 0], np.uint32)
    keys[2] = keys[0] ^ keys[1] ^ np.uint32(PARITY)
    first, second = np.full(count, keys[0]), np.arange(count, dtype=np.uint32) + keys[1]
    for turn in range(5):
        for distance in ROTATIONS[turn % 2]:
            first = first + second
            second = (second << np.uint32(distance)) | (second >> np.uint32(32 - distance))
            second = second ^ first
        first = first + keys[(turn + 1) % 3]
        second = second + keys[(turn + 2) % 3] + np.uint32(turn + 1)
    return np.asarray(first ^ second)


def uniform(
    shape: tuple[int, ...], minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """As `keras.random.uniform`."""
    if not _is_plain(dtype, seed):
        return keras_random.uniform(shape, minval, maxval, dtype=dtype, seed=seed)
    return _between(seed, shape, np.float32(minval), np.float32(maxval))


def normal(shape: tuple[int, ...], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """As `keras.random.normal`."""
    if not _is_plain(dtype, seed):
        return keras_random.normal(shape, mean, stddev, dtype=dtype, seed=seed)
    low = np.nextafter(np.float32(-1.0), np.float32(0.0))
    return ROOT_OF_TWO * _erf_inv(_between(seed, shape, low, np.float32(1.0))) * np.float32(stddev) + np.float32(mean)


def truncated_normal(
    shape: tuple[int, ...], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """As `keras.random.truncated_normal`."""
    if not _is_plain(dtype, seed):
        return keras_random.truncated_normal(shape, mean, stddev, dtype=dtype, seed=seed)
    edge = np.float32(math.erf(2.0 / float(ROOT_OF_TWO)))
    inside = np.nextafter(np.float32(2.0), np.float32(0.0))
    drawn = np.clip(ROOT_OF_TWO * _erf_inv(_between(seed, shape, -edge, edge)), -inside, inside)
    return drawn * np.float32(stddev) + np.float32(mean)


def _is_plain(dtype: Any, seed: Any) -> bool:
    return isinstance(seed, int) and dtype == "float32"


def _between(seed: int, shape: tuple[int, ...], low: np.float32, high: np.float32) -> Array:
    mantissas = (bits(seed, math.prod(shape)) >> np.uint32(9)) | np.uint32(0x3F800000)
    floats = mantissas.view(np.float32) - np.float32(1.0)
    return np.asarray(np.maximum(low, floats * (high - low) + low)).reshape(shape)


def _erf_inv(x: Array) -> Array:
    tail = -np.log1p(-x * x)
    is_small = tail < 5.0
    tail = np.where(is_small, tail - np.float32(2.5), np.sqrt(tail) - np.float32(3.0)).astype(np.float32)
    sums = [np.where(is_small, *map(np.float32, pair)) for pair in zip(SMALL_TAILS, LARGE_TAILS, strict=True)]
    total = sums[0]
    for coefficient in sums[1:]:
        total = coefficient + total * tail
    return np.asarray(total * x)


_RANDOM = {"uniform": uniform, "normal": normal, "truncated_normal": truncated_normal}
_OPS = {name: getattr(np, name) for name in ("diag", "sign", "transpose", "reshape")} | {"qr": np.linalg.qr}

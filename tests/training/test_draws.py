"""First weights drawn with NumPy are those that Keras draws on JAX; runs where Keras runs on JAX."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="Keras does not run on JAX here")

SEEDS = (0, 1, 77, 2**31, 2**32 - 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_bits_are_those_of_jax(seed: int) -> None:
    import jax

    from searchlab.training.program import draws

    key = np.array([seed, 0], np.uint32)
    for count in (1, 2, 7, 5000):
        assert np.array_equal(draws.bits(seed, count), jax.random.bits(key, (count,), "uint32")), count


@pytest.mark.parametrize("law", ["uniform", "normal", "truncated_normal"])
def test_numbers_are_those_of_keras_to_the_last_places(law: str) -> None:
    from searchlab.training.program import draws

    ours: Any = getattr(draws, law)
    for seed in SEEDS:
        told = ours((33, 500), dtype="float32", seed=seed)
        expected = np.asarray(getattr(keras.random, law)((33, 500), dtype="float32", seed=seed))
        assert told.dtype == expected.dtype == np.float32
        np.testing.assert_allclose(told, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    "initializer",
    [
        keras.initializers.GlorotUniform(seed=3),
        keras.initializers.HeNormal(seed=3),
        keras.initializers.Orthogonal(seed=3, gain=1.5),
        keras.initializers.RandomNormal(mean=0.5, stddev=2.0, seed=3),
        keras.initializers.RandomUniform(-2.0, 5.0, seed=3),
    ],
)
def test_initializers_draw_with_numpy_inside_and_as_ever_outside(initializer: Any) -> None:
    from keras.src.initializers import random_initializers

    from searchlab.training.program.draws import drawing

    before = random_initializers.random, random_initializers.ops
    for shape in ((40, 60), (60, 40), (3, 3, 8, 16)):
        with drawing():
            told = initializer(shape, dtype="float32")
        assert isinstance(told, np.ndarray)
        expected = initializer(shape, dtype="float32")
        assert not isinstance(expected, np.ndarray)
        np.testing.assert_allclose(told, expected, rtol=1e-5, atol=2e-6)
    assert (random_initializers.random, random_initializers.ops) == before


def test_other_dtypes_and_seeds_that_are_states_are_left_to_keras() -> None:
    from searchlab.training.program.draws import drawing

    normal = keras.initializers.HeNormal(seed=3)
    state = keras.initializers.HeNormal(seed=keras.random.SeedGenerator(3))
    with drawing():
        assert normal((4, 4), dtype="bfloat16").dtype == "bfloat16"
        assert not isinstance(state((4, 4), dtype="float32"), np.ndarray)


def test_another_generator_is_left_to_keras() -> None:
    import jax

    from searchlab.training.program.draws import drawing

    jax.config.update("jax_threefry_partitionable", False)
    try:
        with drawing():
            assert not isinstance(keras.initializers.HeNormal(seed=3)((4, 4)), np.ndarray)
    finally:
        jax.config.update("jax_threefry_partitionable", True)

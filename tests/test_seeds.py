"""Random streams by name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from searchlab import seeds


def test_one_name_gives_one_stream() -> None:
    np.testing.assert_array_equal(seeds.stream(0, "order", 3).random(5), seeds.stream(0, "order", 3).random(5))


def test_every_part_of_the_name_counts() -> None:
    paths = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 1), (0, "a", 2), (0, "a", "b")]
    assert len({seeds.derive(*path) for path in paths}) == len(paths)


def test_seeds_fit_every_generator() -> None:
    assert all(0 <= seeds.derive(seed, "weights") < 2**32 for seed in range(1000))


def test_another_process_draws_the_same() -> None:
    code = "from searchlab import seeds; print(seeds.derive(7, 'weights', 3))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) == seeds.derive(7, "weights", 3)


def test_the_stream_is_the_one_of_the_first_release() -> None:
    assert seeds.derive(0, "weights", 0) == 1056318163  # a change would alter every published study

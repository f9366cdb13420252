"""Size, corners, first guesses and draws of a space."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from searchlab.config.reader import read_text
from searchlab.space import Params, Space
from searchlab.space.grammar import parse
from searchlab.space.measure import contains, corners, first_guesses, sample, size
from searchlab.space.tree import tree


def space_of(text: str) -> Space:
    return parse(read_text(text, "f"))


CONDITIONAL = """
model:
  cnn:
    depth: {low: 1, high: 3}
    width: {per_layer: [16, 32]}
  mlp: {units: [8, 16, 32, 64, 128]}
optimizer: [adam, sgd]
training: {batch: {low: 8, high: 32, step: 8}, rate: {low: 0.0, high: 0.6, step: 0.1}}
"""


def test_the_size_counts_every_branch() -> None:
    cnn = 2 + 2**2 + 2**3
    assert size(space_of(CONDITIONAL)) == (cnn + 5) * 2 * 4 * 7


def test_the_size_is_the_number_of_configurations_that_draws_find() -> None:
    space = space_of(
        "model: {cnn: {depth: [1, 2], width: {per_layer: [1, 2]}}, mlp: {a: [1, 2, 3]}}\ntask: {b: [1, 2]}"
    )
    rng = np.random.default_rng(0)
    assert len({sample(space, rng).digest() for _ in range(2000)}) == size(space) == (2 + 4 + 3) * 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: cnn", 1),
        ("model: cnn\ntask: {a: {low: 0.0, high: 1.0}}", None),
        ("model: {cnn: {a: {low: 0.0, high: 1.0}}, mlp: }", None),
        ("task: {a: {low: 1, high: 1000, log: true}}", 1000),
    ],
)
def test_small_spaces_have_their_size(text: str, expected: int | None) -> None:
    assert size(space_of(text)) == expected


def test_draws_stay_inside_and_reach_everything() -> None:
    space = space_of(CONDITIONAL)
    rng = np.random.default_rng(0)
    drawn = [sample(space, rng) for _ in range(500)]
    assert all(contains(space, params) for params in drawn)
    assert {params.values["training.rate"] for params in drawn} == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6}


def test_log_ranges_are_drawn_evenly_in_the_logarithm() -> None:
    space = space_of("task: {a: {low: 1e-5, high: 1e-1, log: true}, b: {low: 1, high: 1000, log: true}}")
    rng = np.random.default_rng(0)
    drawn = [sample(space, rng).values for _ in range(2000)]
    for name, middle in (("task.a", 1e-3), ("task.b", 26)):  # b: half-way between log 0.5 and log 1000.5 is 22
        assert 0.45 < np.mean([float(values[name]) < middle for values in drawn]) < 0.56  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"model": "mlp", "task.a": 1, "task.b": 0.5}, True),
        ({"model": "mlp", "task.a": 1, "task.b": 1}, True),
        ({"model": "mlp", "task.a": 2, "task.b": 0.5}, False),
        ({"model": "mlp", "task.a": True, "task.b": 0.5}, False),
        ({"model": "mlp", "task.a": 1, "task.b": 1.5}, False),
        ({"model": "mlp", "task.a": 1, "task.b": float("nan")}, False),
        ({"model": "mlp", "task.a": 1}, False),
        ({"model": "cnn", "task.a": 1, "task.b": 0.5}, False),
        ({"model": "cnn", "model.cnn.c": 3, "task.a": 1, "task.b": 0.5}, True),
        ({"model": "mlp", "model.cnn.c": 3, "task.a": 1, "task.b": 0.5}, False),
        ({"model": "rnn", "task.a": 1, "task.b": 0.5}, False),
    ],
)
def test_containing_means_exactly_the_active_parameters(values: dict[str, object], expected: bool) -> None:
    space = space_of("model: {cnn: {c: 3}, mlp: }\ntask: {a: {low: 1, high: 9, step: 4}, b: {low: 0.0, high: 1.0}}")
    assert contains(space, Params(values)) is expected  # type: ignore[arg-type]


def test_nothing_marked_means_no_guess() -> None:
    assert first_guesses(space_of(CONDITIONAL)) == ()


def test_a_guess_takes_defaults_and_middles() -> None:
    space = space_of(
        "model: cnn\n"
        "task: {a: {low: 1e-5, high: 1e-1, log: true}, b: {low: 1, high: 9}, c: [x, y], d: {low: 0.0, high: 1.0}, "
        "g: {low: 1, high: 100, log: true}}\n"
        "training: {e: {choices: [1, 2], default: 2}, f: {low: 0.0, high: 0.5, step: 0.1}}"
    )
    (guess,) = first_guesses(space)
    assert guess.values == pytest.approx(
        {
            "model": "cnn",
            "task.a": 1e-3,
            "task.b": 5,
            "task.c": "x",
            "task.d": 0.5,
            "task.g": 10,
            "training.e": 2,
            "training.f": 0.2,
        }
    )
    assert contains(space, guess)


def test_every_branch_with_defaults_is_guessed_once() -> None:
    space = space_of(
        "model: {mlp: {a: [1, 2]}, cnn: {a: {choices: [1, 2], default: 2}}, rnn: {a: {choices: [1, 2], default: 1}}}\n"
        "optimizer: {adam: {r: {low: 0.0, high: 1.0, default: 0.1}}, sgd: , default: sgd}\n"
    )
    picks = [(guess.values["model"], guess.values["optimizer"]) for guess in first_guesses(space)]
    assert picks == [("cnn", "sgd"), ("rnn", "sgd"), ("cnn", "adam")]


def test_a_default_of_null_is_a_guess() -> None:
    (guess,) = first_guesses(space_of("training: {clip: {choices: [1.0, null], default: null}}"))
    assert guess.values == {"training.clip": None}


def test_corners_are_both_ends_of_every_combination() -> None:
    found = corners(space_of(CONDITIONAL))
    assert len(found) == 2 * 2 * 2
    assert found[0].values == {
        "model": "cnn",
        "model.cnn.depth": 1,
        "model.cnn.width.1": 16,
        "optimizer": "adam",
        "training.batch": 8,
        "training.rate": 0.0,
    }
    assert found[1].values["model.cnn.depth"] == 3
    combinations = {(params.values["model"], params.values["optimizer"]) for params in found}
    assert combinations == set(itertools.product(("cnn", "mlp"), ("adam", "sgd")))
    assert all(contains(space_of(CONDITIONAL), params) for params in found)


def test_corners_of_a_fixed_space_are_one() -> None:
    assert len(corners(space_of("model: cnn"))) == 1


def test_numbers_in_any_order_have_a_low_and_a_high_end() -> None:
    low, high = corners(space_of("task: {a: [32, 8, 16], b: [relu, tanh]}"))
    assert (low.values, high.values) == ({"task.a": 8, "task.b": "relu"}, {"task.a": 32, "task.b": "tanh"})


def test_the_tree_shows_each_option_once() -> None:
    text = (
        CONDITIONAL
        + "schedule: {cosine: {w: {low: 0.01, high: 1.0, log: true, default: 0.1}}, constant: , default: cosine}"
    )
    assert tree(space_of(text)) == [
        (0, "model", "cnn or mlp"),
        (1, "cnn", ""),
        (2, "depth", "1 to 3"),
        (2, "width", "per layer: 16 or 32"),
        (1, "mlp", ""),
        (2, "units", "8 or 16 or 32 or 64 or 128"),
        (0, "optimizer", "adam or sgd"),
        (0, "training", ""),
        (1, "batch", "8 to 32 in steps of 8"),
        (1, "rate", "0.0 to 0.6 in steps of 0.1"),
        (0, "schedule", "cosine or constant, first cosine"),
        (1, "cosine", ""),
        (2, "w", "0.01 to 1.0, log, first 0.1"),
    ]

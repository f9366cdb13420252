"""G6: 10,000 generated documents, valid, mutated and random, never give anything but a spec or faults with a place."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchlab.config.writer import to_yaml
from searchlab.errors import SpecError, SpecErrors
from searchlab.space.measure import contains, corners, first_guesses, sample, size
from searchlab.spec.load import load_text

VALID, RANDOM, MUTATED, CHUNKS = 300, 2_000, 7_700, 7

NAMES = ["alpha", "beta", "gamma", "no", "x1"]


def accept_or_refuse(text: str, *, again: bool = True) -> bool:
    """Whether `text` is a study; anything but a spec or faults that all have a place is a failure."""
    try:
        spec = load_text(text, file="f")
    except SpecError as error:
        faults = error.errors if isinstance(error, SpecErrors) else (error,)
        assert faults
        assert all(fault.mark is not None and fault.mark.line > 0 for fault in faults), str(error)
        return False
    assert not again or load_text(to_yaml(spec.resolved())) == spec
    return True


def a_domain(draw: random.Random) -> Any:
    """Any valid form of one parameter."""
    match draw.randrange(8):
        case 0:
            return draw.choice([None, True, 3, 0.25, 1e-7, "relu", "1e-4", "no"])
        case 1:
            return draw.sample([1, 2, 3, 16, 128], draw.randint(1, 5))
        case 2:
            return {"choices": (found := draw.sample(["a", "b", "yes", "1"], 3)), "default": draw.choice(found)}
        case 3:
            low = draw.randint(-5, 5)
            return {"low": low, "high": low + draw.randint(1, 40), "default": low + 1}
        case 4:
            low, step = draw.randint(0, 9), draw.randint(1, 9)
            return {"low": low, "high": low + step * draw.randint(1, 9), "step": step, "default": low + step}
        case 5:
            low = 10.0 ** draw.randint(-9, 0)
            return {"low": low, "high": low * draw.uniform(2, 1e5), "log": True}
        case 6:
            return {"low": 0.0, "high": draw.randint(1, 9) / 10, "step": 0.1} if draw.random() < 0.3 else [None, 0.5]
        case _:
            return {"low": draw.uniform(-1, 0), "high": draw.uniform(0.1, 1)}


def options(draw: random.Random) -> dict[str, Any]:
    return {name: a_domain(draw) for name in draw.sample(NAMES, draw.randint(0, 2))}


def a_study(draw: random.Random) -> dict[str, Any]:
    """A valid study with every part of the grammar."""
    cnn = options(draw)
    if draw.random() < 0.7:
        cnn["depth"] = draw.choice([2, [1, 3], {"low": 1, "high": 4}])
        cnn["width"] = {"per_layer": a_domain(draw)}
    space: dict[str, Any] = {"model": draw.choice([{"cnn": cnn}, {"cnn": cnn, "mlp": options(draw), "default": "mlp"}])}
    if draw.random() < 0.7:
        space["optimizer"] = draw.choice(["adam", ["adam", "sgd"], {"adam": options(draw), "sgd": None}])
    space["training"] = options(draw)
    study: dict[str, Any] = {"study": draw.choice(["a", "digits-cnn", "A.b_c-1"]), "task": "t", "space": space}
    study["data"] = {"source": draw.choice(["digits", "csv"]), "path": draw.choice(["a b.csv", "1e3", "é"])}
    if draw.random() < 0.5:
        sampler = draw.choice(["tpe", {"tpe": {"n": 3}}, {"random": None}])
        study["search"] = {"trials": draw.randint(1, 99), "sampler": sampler, "timeout": draw.choice([None, "30m", 5])}
    if draw.random() < 0.5:
        study["training"] = {"epochs": draw.randint(1, 9), "early_stopping": draw.choice([None, {"patience": 3}])}
    return study


@settings(max_examples=VALID, deadline=None)
@given(st.integers(0, 2**63))
def test_valid_documents_round_trip_and_draw_inside(seed: int) -> None:
    text = to_yaml(a_study(random.Random(seed)))
    spec = load_text(text)
    again = load_text(to_yaml(spec.resolved()))
    assert (again, again.digest()) == (spec, spec.digest())
    rng = np.random.default_rng(seed)
    drawn = [sample(spec.space, rng) for _ in range(20)]
    for params in (*drawn, *first_guesses(spec.space), *corners(spec.space)):
        assert contains(spec.space, params), params
    count = size(spec.space)
    assert count is None or count >= len({params.digest() for params in drawn})


@settings(max_examples=RANDOM // 2, deadline=None)
@given(st.text(max_size=200))
def test_random_text_is_refused_at_a_place(text: str) -> None:
    assert not accept_or_refuse(text)


ALPHABET = st.sampled_from(
    [*"[]{}:,-?*&!|>#%@`'\"~<=\\\n\t 01.eE", "study", "data: ", "space: ", "{low: 1, ", "\n  ", "---\n"]
)


@settings(max_examples=RANDOM // 2, deadline=None)
@given(st.lists(ALPHABET, max_size=60).map("".join))
def test_random_yaml_is_refused_at_a_place(text: str) -> None:
    assert not accept_or_refuse(text)


TOKENS = [
    "[",
    "]",
    "{",
    "}",
    ":",
    ": ",
    "- ",
    "\n",
    "\t",
    "&a ",
    "*a",
    "!!x ",
    "'",
    '"',
    "|",
    "#",
    "~",
    ".nan",
    ".inf",
    "-1",
]
TOKENS += [
    "0",
    "1e400",
    "9" * 25,
    "true",
    "no",
    "null",
    "default",
    "low",
    "high",
    "step",
    "log",
    "per_layer",
    "choices",
    "<<",
]
TOKENS += ["${NO_SUCH}", "\x00", "\u2028", "\ud800", "é", "%", "@", "? ", ", ", "\\", "../x", "x" * 200]


def mutated(text: str, draw: random.Random) -> str:
    """`text` after one to four small accidents."""
    for _ in range(draw.randint(1, 4)):
        lines = text.split("\n")
        here, there = sorted((draw.randrange(len(text) + 1), draw.randrange(len(text) + 1)))
        row = draw.randrange(len(lines))
        match draw.randrange(7):
            case 0:
                text = text[:here] + draw.choice(TOKENS) + text[here:]
            case 1:
                text = text[:here] + draw.choice(TOKENS) + text[here + 1 :]
            case 2:
                text = text[:here] + text[min(there, here + 12) :]
            case 3:
                text = "\n".join([*lines[: row + 1], *lines[row:]])
            case 4:
                text = "\n".join([*lines[:row], *lines[row + 1 :]])
            case 5:
                key, colon, _ = lines[row].partition(": ")
                text = "\n".join([*lines[:row], f"{key}{colon}{draw.choice(TOKENS)}", *lines[row + 1 :]])
            case _:
                text = "\n".join([*lines[:row], draw.choice([" ", "  ", "\t"]) + lines[row], *lines[row + 1 :]])
    return text


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_mutated_documents_are_accepted_or_refused_at_a_place(chunk: int) -> None:
    draw = random.Random(chunk)
    accepted = 0
    for number in range(MUTATED // CHUNKS):
        if number % 10 == 0:
            text = to_yaml(a_study(draw))
        accepted += accept_or_refuse(mutated(text, draw), again=number % 5 == 0)
    assert 0 < accepted < MUTATED // CHUNKS

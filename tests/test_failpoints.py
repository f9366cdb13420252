"""Failpoints: every name is a place in the code, and a slip of the pen is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import searchlab
from searchlab.errors import SpecError, UnknownName
from searchlab.failpoints import NAMES, failpoint, parse


def test_every_name_is_one_place_in_the_code() -> None:
    texts = [file.read_text(encoding="utf-8") for file in Path(searchlab.__file__).parent.rglob("*.py")]
    used = [name for text in texts for name in re.findall(r'failpoint\("([a-z.]+)"\)', text)]
    assert sorted(used) == sorted(NAMES)


def test_without_the_variable_nothing_happens() -> None:
    for name in NAMES:
        failpoint(name)


def test_what_is_wanted_is_read() -> None:
    assert parse("trial.sent, child.epoch:sleep=2@3,result.told:enospc") == {
        "trial.sent": ("kill", 0.0, 1),
        "child.epoch": ("sleep", 2.0, 3),
        "result.told": ("enospc", 0.0, 1),
    }


@pytest.mark.parametrize(
    ("text", "words"), [("trial.send", "trial.sent"), ("trial.sent:kil", "kill"), ("trial.sent@x", "trial.sent@x")]
)
def test_a_slip_is_told_with_the_nearest(text: str, words: str) -> None:
    with pytest.raises((UnknownName, SpecError), match=words):
        parse(text)

"""`--set a.b=c` changes one value and says so."""

from __future__ import annotations

import pytest

from searchlab.config import MapNode, marks, plain
from searchlab.config.overrides import COMMAND_LINE, override
from searchlab.config.reader import read_text
from searchlab.errors import Mark, SpecError

TEXT = "a: {b: 1, c: [1, 2]}\nd: x\ne: null\n"


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a.b=2", ("a", "b"), 2),
        ("a.b = 1e-4 ", ("a", "b"), 1e-4),
        ("a.b=no", ("a", "b"), "no"),
        ("a.b=", ("a", "b"), None),
        ("a.b='2'", ("a", "b"), "2"),
        ("a.b=[1, 2]", ("a", "b"), [1, 2]),
        ("a.b={low: 1, high: 4}", ("a", "b"), {"low": 1, "high": 4}),
        ("a.c.1=5", ("a", "c"), [1, 5]),
        ("new.deep.er=1", ("new",), {"deep": {"er": 1}}),
        ("e.f=1", ("e",), {"f": 1}),
        ("d.x.y=1", ("d",), {"x": {"y": 1}}),
        ("a.b=x=y", ("a", "b"), "x=y"),
    ],
)
def test_the_value_is_put_in_its_place(text: str, path: tuple[str, ...], value: object) -> None:
    found = plain(override(read_text(TEXT, "f"), text))
    for part in path:
        found = found[part]
    assert found == value


def test_the_rest_and_its_places_stay() -> None:
    before = read_text(TEXT, "f")
    after = override(before, "a.b=2")
    assert isinstance(after, MapNode)
    changed = {path for path, mark in marks(after) if mark == COMMAND_LINE}
    assert changed == {"a.b"}
    assert plain(before) == {"a": {"b": 1, "c": [1, 2]}, "d": "x", "e": None}
    assert dict(marks(after))["d"] == Mark("f", 2, 1)


def test_everything_that_is_new_reads_command_line() -> None:
    after = override(read_text(TEXT, "f"), "new={x: [1]}")
    assert {path: str(mark) for path, mark in marks(after) if path.startswith("new")} == {
        "new": "command line",
        "new.x": "command line",
        "new.x.0": "command line",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.b", "is not of the form name.name=value"),
        ("=1", "is not of the form"),
        ("a..b=1", "is not of the form"),
        ("a b=1", "is not of the form"),
        ("a.c.2=1", r"none of its items \(0 to 1\)"),
        ("a.c.x=1", "a list stands there"),
        ("a.b=[1", "the value of 'a.b' cannot be read"),
        ("a.b=!!x 1", "tags are not read"),
        (".".join("a" * 100) + "=1", "more than 32 names"),
    ],
)
def test_what_cannot_be_put_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        override(read_text(TEXT, "f"), text)
    assert str(caught.value).startswith("command line: ")

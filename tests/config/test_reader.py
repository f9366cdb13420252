"""Reading is strict, quick to refuse, and remembers every place."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from searchlab.config import MapNode, marks, node_of, plain
from searchlab.config.reader import MAX_BYTES, MAX_DEPTH, read_file, read_text
from searchlab.errors import Mark, SpecError, SpecErrors


def value_of(text: str) -> object:
    return plain(read_text(f"a: {text}", "f"))["a"]


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        read_text(text, "f")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1e4", 1e4),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5E+3", -1500.0),
        ("+3", 3),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-07-01", "2026-07-01"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("1e", "1e"),
        ("٣", "٣"),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_words_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    """G1, G5: PyYAML alone reads 1.1, where 1e-4 is text and no is false."""
    read = value_of(text)
    assert (read, type(read)) == (value, type(value))


def test_not_a_number_is_read() -> None:
    assert math.isnan(value_of(".nan"))  # type: ignore[arg-type]


def test_every_key_and_value_knows_its_place() -> None:
    node = read_text("a:\n  b: [1, {c: x}]\n", "f")
    assert dict(marks(node)) == {
        "a": Mark("f", 1, 1),
        "a.b": Mark("f", 2, 3),
        "a.b.0": Mark("f", 2, 7),
        "a.b.1": Mark("f", 2, 10),
        "a.b.1.c": Mark("f", 2, 11),
    }
    assert isinstance(node, MapNode)
    assert plain(node) == {"a": {"b": [1, {"c": "x"}]}}


def test_an_alias_stands_for_its_anchor() -> None:
    assert plain(read_text("a: &x {b: 1}\nc: *x\nd: &y 2\ne: [*y]", "f")) == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": 2,
        "e": [2],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1:1: the file is empty"),
        ("# nothing\n", "f:1:1: the file is empty"),
        ("a: 1\nb:\n\t- c", "f:3:1: a tab stands where only blanks may"),
        ("a: b: c", "f:1:5: a colon stands where no key can be"),
        ("a: [1, 2", "f:1:9: this is not valid YAML"),
        ("a: 1\na: 2", "f:2:1: 'a' is given twice; it stands at f:1:1 already"),
        ("a: !!python/object/apply:os.system [x]", "f:1:4: tags are not read"),
        ("a: !x 1", "f:1:4: tags are not read"),
        ("a: &a {b: 1}\nc: {<<: *a}", "f:2:5: merge keys (<<) are not read"),
        ("a: &a [*a]", "f:1:8: the alias *a stands within what it stands for"),
        ("a: *b", "f:1:4: the alias *b stands for nothing"),
        ("? [a]\n: 1", "f:1:3: a key must be a single word"),
        ("a: 1\n'': 2", "f:2:1: a key must be a word"),
        ("a: 1\n---\nb: 2", "f:2:1: a second document begins here"),
        ("a: 1e999", "f:1:4: this number is too large"),
        ("a: 9223372036854775808", "f:1:4: this whole number does not fit"),
        ("a: " + "9" * 100_000, "f:1:4: this whole number does not fit"),
        ("a: 0x" + "f" * 100, "f:1:4: this whole number does not fit"),
        ('a: "\\UFFFFFFFF"', "f:1:7: this is not valid YAML"),
        ('a: "\\ud800"', "f:1:4: the character '\\ud800' may not stand in a text"),
        ('a: "\\0"', "f:1:4: the character '\\x00' may not stand in a text"),
        ("a: 1\nb: \x07", "f:2:4: the character '\\x07' may not stand in a YAML file"),
        ("%YAML " + "9" * 5000 + ".1\n---\na: 1", "f:1:7: this is not valid YAML"),
    ],
)
def test_what_is_refused_is_refused_at_its_place(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


def test_faults_that_leave_the_rest_readable_come_together() -> None:
    with pytest.raises(SpecErrors) as caught:
        read_text("a: !x 1\na: 2\nb: 1e999\n", "f")
    assert [error.mark for error in caught.value.errors] == [Mark("f", 1, 4), Mark("f", 2, 1), Mark("f", 3, 4)]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{below}'] * 9)}]\n" for below, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 5000,
        "[\n" * 5000,
        "{a: " * 5000,
        "- " * 5000,
        "".join(" " * n + "a:\n" for n in range(500)),
    ],
    ids=["aliases", "lists", "lines", "maps", "dashes", "indents"],
)
def test_bombs_are_refused_at_once(text: str) -> None:
    """G3: under 100 ms of processor time, without recursion."""
    started = time.process_time()
    assert "at most" in refusal(text)
    assert time.process_time() - started < 0.1


def test_depth_is_allowed_up_to_the_limit() -> None:
    read_text("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), "f")


def test_many_values_are_refused() -> None:
    assert "too many values" in refusal("[" + "1," * 6000 + "]")


def test_a_file_of_50_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(SpecError, match=f"too large; at most {MAX_BYTES // 1024} KiB"):
        read_file(path)


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert plain(read_file(path)) == {"a": 1}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("a: é\n".encode("latin-1"), ":1:4"),
        (b"\x89PNG\r\n\x1a\n", ":1:1"),
        ("a: 1".encode("utf-16"), ":1:1"),
        (b"a: 1\0", ":1:5"),
    ],
)
def test_what_is_not_utf8_text_is_refused(tmp_path: Path, content: bytes, place: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        read_file(path, shown_as="a.yaml")
    assert str(caught.value).startswith(f"a.yaml{place}: ")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "not a file"),
        (tmp_path / "none", "no such file"),
        (tmp_path / "n\0", "no such file"),
    ):
        with pytest.raises(SpecError, match=message):
            read_file(path)


def test_plain_values_become_nodes_and_back() -> None:
    content = {"a": [1, {"b": None}], "c": "x"}
    assert plain(node_of(content, Mark("f"))) == content

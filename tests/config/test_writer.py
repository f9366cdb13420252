"""What is written reads back as the same values."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from searchlab.config import plain
from searchlab.config.reader import read_text
from searchlab.config.writer import to_yaml

WORDS = st.sampled_from(
    ["1e-4", "no", "012", "1:30", "~", "null", "0o7", "", " a ", "a: b", "# x", "- x", "<<", "é", "9" * 30]
)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False) | WORDS | TEXT
KEYS = st.from_regex(r"[a-z_0-9]{1,8}", fullmatch=True)
CONTENT = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))


@settings(max_examples=300, deadline=None)
@given(CONTENT)
def test_what_is_written_reads_back(content: object) -> None:
    back = plain(read_text(to_yaml({"a": content}), "f"))["a"]
    assert repr(back) == repr(content)  # repr: 1 is not 1.0, 0.0 is not -0.0


def test_a_word_that_looks_like_a_number_is_quoted() -> None:
    """PyYAML, which knows YAML 1.1 only, leaves 1e-4 unquoted."""
    assert to_yaml({"a": "1e-4"}) == 'a: "1e-4"\n'


def test_keys_keep_their_order() -> None:
    assert to_yaml({"b": 1, "a": 2}) == "b: 1\na: 2\n"

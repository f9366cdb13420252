"""Every fault of a section at once, in plain words, at its place."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
import pytest
from annotated_types import MultipleOf

from searchlab.config.reader import read_text
from searchlab.config.validation import validate
from searchlab.config.wording import allowed, interval
from searchlab.errors import SpecErrors
from searchlab.options import Options, per_layer, value


class Stopping(Options):
    """A nested section."""

    patience: int = value(3, ge=1)
    delta: float = value(0.0, ge=0.0)


class Section(Options):
    """What a section may hold."""

    depth: int = value(2, ge=1, le=8)
    dropout: float = value(0.0, ge=0.0, lt=1.0)
    clip: float | None = value(None, gt=0.0)
    pooling: Literal["max", "mean"] = "max"
    jit: bool | Literal["auto"] = "auto"
    columns: tuple[str, ...] = ()
    stopping: Stopping | None = None
    width: int | list[int] = per_layer(32, count="depth", ge=1)
    workers: Annotated[int, pydantic.Field(ge=1)] | Literal["auto"] = "auto"
    rates: dict[str, float] = pydantic.Field(default_factory=dict)
    odd: int = 1
    path: str

    @pydantic.field_validator("odd")
    @classmethod
    def _is_odd(cls, number: int) -> int:
        if number % 2 == 0:
            raise ValueError("must be odd")
        return number

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Section:
        if self.depth == 7:
            raise ValueError("seven is too many here")
        return self


def faults(text: str) -> list[str]:
    with pytest.raises(SpecErrors) as caught:
        validate(read_text(text, "f"), Section, what="section")
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dropout: 1.2", "f:1:10: dropout must lie in [0, 1), but is 1.2."),
        ("dropout: .inf", "f:1:10: dropout must lie in [0, 1), but is inf."),
        ("depth: 0.5", "f:1:8: depth must be a whole number in [1, 8], not 0.5."),
        ("depth: true", "f:1:8: depth must be a whole number in [1, 8], not true."),
        ("depth: '3'", "f:1:8: depth must be a whole number in [1, 8], not '3'."),
        ("clip: -1", "f:1:7: clip must be above 0, but is -1."),
        ("clip: x", "f:1:7: clip must be a number above 0, or null, not 'x'."),
        ("pooling: maxx", "f:1:10: pooling must be 'max' or 'mean', not 'maxx'. Did you mean 'max'?"),
        ("jit: yes", "f:1:6: jit must be true or false, or 'auto', not 'yes'. Did you mean true?"),
        ("columns: [a, 3]", "f:1:14: columns.1 must be text, not 3."),
        ("columns: a", "f:1:10: columns must be a list, each item text, not 'a'."),
        ("width: [1, x]", "f:1:12: width.1 must be a whole number, not 'x'."),
        ("workers: 0", "f:1:10: workers must be at least 1, but is 0."),
        ("rates: {a: b}", "f:1:12: rates.a must be a number, not 'b'."),
        ("stopping: {patience: 0}", "f:1:22: stopping.patience must be at least 1, but is 0."),
        ("stopping: 3", "f:1:11: stopping must be a mapping, or null, not 3."),
        (
            "stopping: {patiens: 3}",
            "f:1:12: no key of section.stopping is called 'patiens'. Did you mean 'patience'? Known: patience, delta.",
        ),
        ("odd: 2", "f:1:6: odd: must be odd."),
    ],
)
def test_a_fault_says_where_what_and_what_is_allowed(text: str, message: str) -> None:
    assert faults(f"{text}\npath: x") == [message]


def test_an_unknown_key_gets_its_nearest_at_the_key() -> None:
    assert faults("path: x\ndpeth: 3")[0].startswith(
        "f:2:1: no key of section is called 'dpeth'. Did you mean 'depth' or 'path'? Known: depth,"
    )


def test_a_missing_key_is_named() -> None:
    assert faults("depth: 1") == ["f:1:1: section must have 'path', which is missing."]


def test_a_rule_between_keys_speaks_for_the_section() -> None:
    assert faults("path: x\ndepth: 7") == ["f:1:1: section: seven is too many here."]


def test_all_faults_come_together() -> None:
    assert len(faults("depth: 0\ndropout: 2\npooling: x\ndpeth: 1\njit: 3")) == 6


@pytest.mark.parametrize(("text", "found"), [("[1]", "a list"), ("x", "'x'"), ("3", "3")])
def test_what_is_no_mapping_is_refused(text: str, found: str) -> None:
    assert faults(text) == [f"f:1:1: section must be a mapping, not {found}."]


def test_a_good_section_becomes_the_model() -> None:
    section = validate(read_text("path: x\ncolumns: [a, b]\nclip: 1\nstopping: {patience: 2}", "f"), Section, what="s")
    assert (section.columns, section.clip, section.stopping) == (("a", "b"), 1.0, Stopping(patience=2))


def test_null_is_an_empty_section() -> None:
    assert validate(read_text("~", "f"), Stopping, what="s") == Stopping()


def test_types_in_words() -> None:
    assert allowed(int, [MultipleOf(8)]) == "a whole number, a multiple of 8"
    assert allowed(None | float) == "a number, or null"
    assert interval([]) is None

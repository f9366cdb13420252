"""The JSON Schemas accept what the loader accepts and refuse the common mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from searchlab import shipped
from searchlab.config import plain
from searchlab.config.reader import read_file, read_text
from searchlab.options import Options, per_layer, value
from searchlab.runner import schema
from searchlab.runner.schema import space_schema, study_schema
from searchlab.spec.load import load_text


class Fake(Options):
    """A family for this test, whatever the shipped ones become."""

    depth: int = 2
    """Blocks."""
    width: int | list[int] = per_layer(32, count="depth", ge=1)
    dropout: float = value(0.0, ge=0.0, lt=1.0)
    pooling: Literal["max", "mean"] = "max"
    clip: float | None = value(None, gt=0.0)
    title: str = "a field named like a keyword"


@pytest.fixture(scope="module")
def study() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(study_schema())


@pytest.fixture(scope="module")
def fake() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(schema._members(Fake, "A fake."))


@pytest.mark.parametrize("make", [study_schema, space_schema])
def test_the_schemas_are_schemas(make: Any) -> None:
    made = make()
    jsonschema.Draft7Validator.check_schema(made)
    text = json.dumps(made)
    assert "$ref" not in text  # self-contained
    assert "prefixItems" not in text  # newer than draft 7


@pytest.mark.parametrize("name", shipped.names("search_spaces"))
def test_every_shipped_space_fits(name: str) -> None:
    content = plain(read_file(shipped.folder("search_spaces") / f"{name}.yaml"))
    jsonschema.Draft7Validator(space_schema()).validate(content)


@pytest.mark.parametrize("name", shipped.names("studies"))
def test_every_shipped_study_fits(name: str, study: jsonschema.Draft7Validator) -> None:
    study.validate(plain(read_file(shipped.folder("studies") / f"{name}.yaml")))


STUDY = """
study: digits-cnn
data: {source: digits, split: {by: stratified, test: 0.3}}
task: image_classification
space: {model: {cnn: {depth: {low: 1, high: 3}}}, optimizer: [adam, sgd], training: {batch_size: [16, 32]}}
search: {sampler: {tpe: {}}, pruner: none, trials: 5, timeout: 30m}
training: {epochs: 3, early_stopping: {patience: 2}}
execution: {workers: 2}
"""


def test_a_study_fits_as_written_and_as_resolved(study: jsonschema.Draft7Validator) -> None:
    study.validate(plain(read_text(STUDY, "f")))
    study.validate(load_text(STUDY).resolved())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("epochs: 3", "epoch: 3"),
        ("epochs: 3", "epochs: 0"),
        ("epochs: 3", "epochs: '3'"),
        ("source: digits", "source: digit"),
        ("source: digits", "source: digits, no_such_option: 3"),
        ("by: stratified", "by: stratifed"),
        ("test: 0.3", "test: 1.3"),
        ("task: image_classification", "task: image"),
        ("sampler: {tpe: {}}", "sampler: tpee"),
        ("sampler: {tpe: {}}", "sampler: {tpe: {no_such: 3}}"),
        ("timeout: 30m", "timeout: soon"),
        ("cnn: {depth", "cn: {depth"),
        ("depth: {low: 1, high: 3}", "dept: 3"),
        ("depth: {low: 1, high: 3}", "depth: {low: 1}"),
        ("optimizer: [adam, sgd]", "optimizer: [adam, sdg]"),
        ("study: digits-cnn", "study: a/b"),
        ("study: digits-cnn\n", ""),
        ("workers: 2", "workers: many"),
    ],
)
def test_common_mistakes_do_not_fit(study: jsonschema.Draft7Validator, old: str, new: str) -> None:
    assert old in STUDY
    assert not study.is_valid(plain(read_text(STUDY.replace(old, new), "f")))


@pytest.mark.parametrize(
    "text",
    [
        "{depth: 3, width: 16, dropout: 0.5, pooling: mean, clip: null, title: x}",
        "{depth: [1, 2], width: [16, 32], pooling: [max, mean], clip: [null, 1.0]}",
        "{width: {per_layer: {low: 8, high: 64, log: true}}, dropout: {low: 0.0, high: 0.9, default: 0.1}}",
        "{width: {per_layer: 3}, pooling: {choices: [max, mean], default: max}}",
        "null",
    ],
)
def test_every_form_of_the_grammar_fits(fake: jsonschema.Draft7Validator, text: str) -> None:
    fake.validate(plain(read_text(text, "f")))


@pytest.mark.parametrize(
    "text",
    [
        "{depth: x}",
        "{width: 0}",
        "{width: {per_layer: [0]}}",
        "{dropout: 1.0}",
        "{pooling: [max, meen]}",
        "{depth: {per_layer: 3}}",
    ],
)
def test_what_an_option_refuses_does_not_fit(fake: jsonschema.Draft7Validator, text: str) -> None:
    assert not fake.is_valid(plain(read_text(text, "f")))


def test_descriptions_reach_the_editor(fake: jsonschema.Draft7Validator) -> None:
    assert fake.schema["properties"]["depth"] | {"anyOf": None} == {
        "description": "Blocks.",
        "default": 2,
        "anyOf": None,
    }


def test_a_fixed_list_is_written_as_draft_7_has_it(tmp_path: Path) -> None:
    class Size(Options):
        size: tuple[int, int] = (8, 8)

    (written,) = schema._properties(Size).values()
    checker = jsonschema.Draft7Validator(written)
    assert checker.is_valid([1, 2])
    assert not checker.is_valid([1, 2, 3])
    assert not checker.is_valid([1, "x"])

"""A model's file says what it takes and what its outputs are called, and no code is run to read it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import tiny_problem as tiny

from searchlab.data import SOURCES
from searchlab.errors import DataError
from searchlab.tasks import TASKS
from searchlab.training import model_card
from searchlab.training.model_card import ModelCard, classes_of

CARD = ModelCard(
    kind="table",
    classes=("no", "yes"),
    dtype="float64",
    columns=("a", "b"),
    category_columns=("town",),
    options={"separator": ";"},
    task="tabular_classification",
    encoding={"kind": "table"},
    study="s",
    trial=3,
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")
    return path


def test_what_was_put_in_is_read_again_and_everybody_can_read_it(archive: Path) -> None:
    assert model_card.read(archive) is None
    model_card.put(archive, CARD.to_json())
    assert model_card.read(archive) == CARD
    with zipfile.ZipFile(archive) as file:
        assert json.loads(file.read("searchlab.json"))["classes"] == ["no", "yes"]


def test_equal_models_are_equal_files(archive: Path) -> None:
    twin = archive.with_name("twin.keras")
    twin.write_bytes(archive.read_bytes())
    for path in (archive, twin):
        model_card.put(path, CARD.to_json())
    assert archive.read_bytes() == twin.read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [({"format": 2}, "format 2"), ({"format": 1, "kind": "table"}, "cannot be read"), ({}, "format None")],
)
def test_a_card_of_another_version_or_hand_is_refused(content: dict[str, object], words: str, archive: Path) -> None:
    model_card.put(archive, content)
    with pytest.raises(DataError, match=words):
        model_card.read(archive)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"m\.keras: this is no \.keras file"):
        model_card.read(tmp_path / "m.keras")
    with pytest.raises(DataError, match=r"there is no file .*gone\.keras"):
        model_card.read(tmp_path / "gone.keras")


def test_classes_are_those_of_the_data_and_values_have_none() -> None:
    assert classes_of(tiny.problem()[0]) == tuple("0123456789")
    source = SOURCES.get("diabetes")
    collection = source.load(source.Options(), Path())
    assert classes_of(TASKS.get("tabular_regression").fit(collection, collection.examples)) is None

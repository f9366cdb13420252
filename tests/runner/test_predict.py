"""Predictions: the numbers that the model gives for inputs read as in training, under the data's own names."""

from __future__ import annotations

import csv
import importlib
import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from searchlab.cli import app
from searchlab.data import Collection, Examples
from searchlab.errors import DataError, SpecError
from searchlab.runner.home import Home
from searchlab.runner.predict import Answers, predict
from searchlab.tasks import TASKS, Encoding
from searchlab.training import champion
from searchlab.training.model_card import ModelCard, classes_of

SHAPE = (4, 4, 3)


def written(path: Path, task: str, collection: Collection, **card: Any) -> Path:
    """A model of `collection` with random weights, as `searchlab export` writes it; `card={}` leaves out the card."""
    encoding: Encoding = TASKS.get(task).fit(collection, collection.examples)
    keras.utils.set_random_seed(0)
    raw = keras.Input(encoding.problem.input_shape)
    core = keras.Model(raw, keras.layers.Dense(encoding.problem.units)(keras.layers.Flatten()(raw)))
    content = ModelCard(
        collection.kind,
        classes_of(encoding),
        str(collection.examples.x.dtype),
        collection.columns,
        collection.category_columns,
        task=task,
        encoding=encoding.to_json(),
        **card,
    )
    return champion.export(champion.exportable(core, encoding), path, card=content.to_json())


def rows_of(answers: Answers) -> list[tuple[Any, ...]]:
    return [row for answer in answers.batches for row in answer.rows]


def ask(model: Path, *files: Path, **more: Any) -> Answers:
    return predict(str(model), files, Home(model.parent), **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def pictures(folder: Path) -> Path:
    """A model of images of two classes."""
    x = np.random.default_rng(0).integers(0, 256, (8, *SHAPE), dtype=np.uint8)
    examples = Examples(x, np.array(["cat", "=dog"] * 4))
    return written(folder / "pets.keras", "image_classification", Collection(examples, "images", "pets"))


@pytest.fixture(scope="module")
def towns(folder: Path) -> Path:
    """A model of a table with a column of words."""
    examples = Examples(
        np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 50.0]]),
        np.array([1.0, 2.0, 4.0, 3.0]),
        categories=np.array([["Bonn"], ["Oslo"], ["Bonn"], ["Oslo"]]),
    )
    collection = Collection(examples, "table", "towns", ("a", "b"), ("town",))
    return written(folder / "towns.keras", "tabular_regression", collection)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two images and a file that is none."""
    place = tmp_path / "photos"
    place.mkdir()
    for name, colour in (("a.png", (255, 0, 0)), ("b.png", (0, 0, 255))):
        Image.new("RGB", SHAPE[:2], colour).save(place / name)
    (place / "c.png").write_bytes(b"no image")
    return place


def test_images_get_a_label_its_probability_and_those_of_all_classes(pictures: Path, photos: Path) -> None:
    answers = ask(pictures, photos)
    assert answers.header == ("file", "label", "probability", "p_=dog", "p_cat")
    assert answers.count == 3
    rows = rows_of(answers)
    assert [row[0] for row in rows] == [str(photos / "a.png"), str(photos / "b.png")]
    model = champion.load_keras(pictures)
    raw = np.stack([np.full(SHAPE, (255, 0, 0)), np.full(SHAPE, (0, 0, 255))]).astype(np.uint8)
    expected = champion.predict(model, raw)
    np.testing.assert_allclose([row[3:] for row in rows], expected, atol=1e-6)
    assert [row[1] for row in rows] == [("=dog", "cat")[best] for best in expected.argmax(axis=1)]
    np.testing.assert_allclose([row[2] for row in rows], expected.max(axis=1), atol=1e-6)


def test_an_npz_of_images_says_the_same_by_row(pictures: Path, photos: Path) -> None:
    raw = np.stack([np.full(SHAPE, (255, 0, 0)), np.full(SHAPE, (0, 0, 255))]).astype(np.uint8)
    np.savez(photos / "x.npz", x=raw)
    by_row, by_file = (
        rows_of(ask(pictures, photos / "x.npz")),
        rows_of(ask(pictures, photos / "a.png", photos / "b.png")),
    )
    assert [row[0] for row in by_row] == [1, 2]
    assert [row[1:] for row in by_row] == [row[1:] for row in by_file]
    np.savez(photos / "small.npz", x=raw[:, :2])
    with pytest.raises(DataError, match=r"takes examples of shape \(4, 4, 3\), and these have \(2, 4, 3\)"):
        rows_of(ask(pictures, photos / "small.npz"))


def test_a_table_with_words_is_encoded_as_in_training(towns: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("town,b,a,more\nOslo,20,2,x\nBonn,,1,y\nRome,20,2,z\n")
    answers = ask(towns, tmp_path / "new.csv")
    assert answers.header == ("row", "value")
    rows = rows_of(answers)
    assert [row[0] for row in rows] == [1, 2, 3]
    assert np.isfinite([row[1] for row in rows]).all() and rows[0][1] != rows[2][1]


def test_a_model_without_a_card_has_numbers_for_classes(pictures: Path, photos: Path, folder: Path) -> None:
    """As every version before cards has written them."""
    bare = folder / "bare.keras"
    champion.load_keras(pictures).save(bare)
    answers = ask(bare, photos / "a.png")
    assert answers.header == ("file", "label", "probability", "p_0", "p_1")
    assert next(row[1] for row in rows_of(answers)) in ("0", "1")


def test_a_keras_file_of_somebody_else_is_refused(folder: Path, photos: Path) -> None:
    raw = keras.Input((2,))
    keras.Model(raw, keras.layers.Dense(1, name="mine")(raw)).save(folder / "other.keras")
    with pytest.raises(DataError, match="its last layer is 'mine'"):
        ask(folder / "other.keras", photos)


def test_what_a_model_does_not_take_is_refused_with_what_it_takes(
    pictures: Path, towns: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match=r"the model takes images; give them as the array 'x'"):
        ask(pictures, tmp_path / "new.csv")
    with pytest.raises(DataError, match=r"the model takes rows of a table: give one CSV"):
        ask(towns, photos)
    with pytest.raises(DataError, match="one table at a time"):
        ask(towns, tmp_path / "new.csv", photos)
    with pytest.raises(DataError, match=r"there is no file gone\.csv"):
        ask(towns, Path("gone.csv"))
    with pytest.raises(SpecError, match="--trial chooses among the trials of a study"):
        ask(towns, tmp_path / "new.csv", trial=3)


def test_pixels_that_image_files_have_not_are_asked_for_as_an_array(folder: Path, photos: Path) -> None:
    examples = Examples(np.random.default_rng(0).random((8, *SHAPE)).astype(np.float32), np.arange(8) % 2)
    model = written(folder / "shades.keras", "image_classification", Collection(examples, "images", "shades"))
    with pytest.raises(DataError, match="trained on pixels of type float32"):
        ask(model, photos)


def test_the_command_writes_csv_lists_what_it_could_not_read_and_says_so_at_its_end(
    pictures: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.import_module("searchlab.cli.predict")  # which makes itself known to `app`
    monkeypatch.setattr("searchlab.cli.is_hasty", False)
    done = CliRunner().invoke(app, ["predict", str(pictures), str(photos)])
    assert done.exit_code == 3
    assert "c.png: it cannot be decoded" in done.stderr and "1 of 3 files could not be read" in done.stderr
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert rows[0] == ["file", "label", "probability", "p_=dog", "p_cat"] and len(rows) == 3
    assert rows[1][1] in ("'=dog", "cat")  # no cell is a formula
    out = tmp_path / "out.csv"
    done = CliRunner().invoke(app, ["predict", str(pictures), str(photos / "a.png"), "--out", str(out)])
    assert done.exit_code == 0 and done.stdout == ""
    assert list(csv.reader(out.open()))[1][1:] == rows[1][1:]

"""`searchlab init`: what is written for any data passes validation as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from searchlab.data.sniff import KNOWN
from searchlab.errors import DataError, UnknownName
from searchlab.runner.check import check
from searchlab.runner.starter import starter
from searchlab.spec import StudySpec
from searchlab.spec.load import load_study


def written(data: str, folder: Path, target: str | None = None) -> StudySpec:
    file = folder / "study.yaml"
    file.write_text(starter(data, folder=folder, target=target))
    spec = load_study(file)
    check(spec)
    return spec


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_known_sources(name: str, tmp_path: Path) -> None:
    assert written(name, tmp_path).task == KNOWN[name]


def test_a_table_with_words_and_a_named_target(tmp_path: Path) -> None:
    file = tmp_path / "houses.csv"
    rows = [f"{number},{'north' if number % 2 else 'south'},id-{number},{number * 1.5}" for number in range(60)]
    file.write_text("rooms,side,key,price\n" + "\n".join(rows))
    spec = written(str(file), tmp_path, "price")
    assert spec.task == "tabular_regression"
    assert dict(spec.data.source.options) == {
        "path": "houses.csv",
        "target": "price",
        "features": ["rooms"],
        "categories": ["side"],
    }
    assert spec.data.split.by == "random"


def test_whole_numbers_of_few_kinds_are_classes(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,label\n" + "\n".join(f"{number / 7},{number % 3}" for number in range(60)))
    assert written(str(file), tmp_path).task == "tabular_classification"


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "pets" / name / "1.png")
    spec = written(str(tmp_path / "pets"), tmp_path)
    assert (spec.data.source.name, spec.task, spec.data.split.by) == (
        "image_folder",
        "image_classification",
        "stratified",
    )


def test_a_folder_with_parts_is_split_as_given(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / "pets" / part / "cat").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "pets" / part / "cat" / "1.png")
    assert written(str(tmp_path / "pets"), tmp_path).data.split.by == "given"


def test_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 4, 4, 1), np.uint8), y=np.arange(9) % 3)
    assert written(str(tmp_path / "a.npz"), tmp_path).task == "image_classification"


def test_nothing_of_the_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no CSV"):
        starter("nowhere", folder=tmp_path)
    (tmp_path / "t.csv").write_text("alpha,beta\n1,2\n")
    with pytest.raises(UnknownName, match="Did you mean 'beta'"):
        starter(str(tmp_path / "t.csv"), folder=tmp_path, target="betta")

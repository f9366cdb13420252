"""Data that were prepared before are found again by their files, and only while these are the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from searchlab.data.sources import image_folder
from searchlab.errors import DataError, SpecError
from searchlab.runner.home import Home
from searchlab.runner.lab import Lab, assemble
from searchlab.runner.watch import Nobody
from searchlab.spec.load import load_text

STUDY = (
    "study: s\ndata: {{source: image_folder, path: photos, size: 6, split: {{seed: {seed}}}}}\n"
    "task: {task}\nspace: {{model: mlp}}\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with twenty pictures of two classes."""
    generator = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(10):
            picture = Image.fromarray(generator.integers(256, size=(6, 6, 3), dtype=np.uint8))
            picture.save(tmp_path / "photos" / kind / f"{number}.png")
    return tmp_path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files were decoded, each time that any were."""
    counts: list[int] = []
    decode = image_folder.decode

    def counting(files: Any, *rest: Any) -> Any:
        counts.append(len(files))
        return decode(files, *rest)

    monkeypatch.setattr(image_folder, "decode", counting)
    return counts


def lab(folder: Path, *, seed: int = 0, task: str = "sequence_classification") -> Lab:
    text = STUDY.format(seed=seed, task=task).replace("mlp", "rnn" if task.startswith("seq") else "mlp")
    return assemble(load_text(text, folder=folder), Home(folder / "home"), Nobody())


def test_the_same_files_are_not_decoded_again(folder: Path, decoded: list[int]) -> None:
    first, second = lab(folder), lab(folder)
    assert decoded == [20] and second.prepared == first.prepared and second.encoding == first.encoding
    assert second.collection.description == first.collection.description


@pytest.mark.parametrize("change", ["content", "added", "removed", "moved"])
def test_changed_files_are_noticed(folder: Path, decoded: list[int], change: str) -> None:
    first = lab(folder)
    picture = folder / "photos" / "cat" / "3.png"
    if change == "content":
        Image.new("RGB", (6, 6), (1, 2, 3)).save(picture)
    elif change == "added":
        shutil.copy(picture, folder / "photos" / "cat" / "new.png")
    elif change == "removed":
        picture.unlink()
    else:
        picture.rename(folder / "photos" / "dog" / "cat.png")
    assert lab(folder).prepared.digest != first.prepared.digest and len(decoded) == 2


def test_another_split_is_prepared_for_itself(folder: Path, decoded: list[int]) -> None:
    digests = [lab(folder, seed=seed).prepared.digest for seed in (0, 1, 0, 1)]
    assert len(set(digests)) == 2 and digests[:2] == digests[2:] and len(decoded) == 2


@pytest.mark.parametrize("part", ["data", "sealed"])
def test_what_is_gone_is_prepared_again(folder: Path, decoded: list[int], part: str) -> None:
    first = lab(folder)
    shutil.rmtree(folder / "home" / part / first.prepared.digest)
    assert lab(folder).prepared.digest == first.prepared.digest and len(decoded) == 2


def test_what_is_damaged_is_refused_as_ever(folder: Path) -> None:
    path = Path(lab(folder).prepared.folder) / "train.x.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="has changed since it was written"):
        lab(folder)


def test_a_task_that_cannot_learn_from_known_data_is_refused(folder: Path) -> None:
    lab(folder)
    with pytest.raises(SpecError, match="tabular_classification learns from table, but image_folder gives images"):
        lab(folder, task="tabular_classification")


def test_other_sources_are_read_each_time(tmp_path: Path) -> None:
    text = "study: s\ndata: {source: digits}\ntask: image_classification\nspace: {model: cnn}\n"
    for _ in range(2):
        assemble(load_text(text, folder=tmp_path), Home(tmp_path), Nobody())
    assert not (tmp_path / "known").exists()

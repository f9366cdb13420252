"""Pictures that are too many for memory: read, encoded and learned from as if they were in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_problem as tiny

from searchlab.data import SearchSplits, rows
from searchlab.data.prepare import load_search, prepare
from searchlab.data.rows import is_in_memory
from searchlab.runner.finish import deviation
from searchlab.tasks import TASKS, Arrays, Encoding, _encoded
from searchlab.training import champion
from searchlab.training.recipe import Recipe

Problem = tuple[Encoding, SearchSplits[Arrays]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digits as bytes, prepared."""
    collection, _ = tiny.digits()
    return prepare(
        collection, rule="stratified", validation=0.05, test=0.8, seed=0, store=tmp_path_factory.mktemp("store")
    ).folder


def problem_in(folder: str, task: str = "image_classification") -> Problem:
    collection, splits = load_search(Path(folder))
    encoding = TASKS.get(task).fit(collection, splits.train)
    return encoding, SearchSplits(encoding.encode(splits.train), encoding.encode(splits.validation))


@pytest.fixture
def on_disk(folder: str, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """The problem whose pictures are read as they are needed."""
    monkeypatch.setattr(rows, "LARGE", 1)
    monkeypatch.setattr(_encoded, "IN_MEMORY", 1)
    found = problem_in(folder)
    assert not is_in_memory(found[1].train.x) and not is_in_memory(found[1].validation.x)
    return found


def test_they_are_encoded_as_those_in_memory(folder: str, on_disk: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = {task: problem_in(folder, task) for task in ("image_classification", "sequence_classification")}
    monkeypatch.undo()
    for task, (encoding, splits) in lazy.items():
        other, whole = problem_in(folder, task)
        assert other == encoding and is_in_memory(whole.train.x)
        assert splits.train.x.shape == whole.train.x.shape and splits.train.x.dtype == whole.train.x.dtype
        np.testing.assert_array_equal(splits.train.x[:], whole.train.x)
        np.testing.assert_array_equal(splits.validation.x[np.array([[3, 1]])], whole.validation.x[np.array([[3, 1]])])


@pytest.mark.parametrize("engine", ("fit", *tiny.compiled()))
def test_every_engine_learns_the_same_from_them(engine: str, folder: str, on_disk: Problem) -> None:
    lazy, results = tiny.train(engine, tiny.trial(), on=on_disk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "LARGE", 1 << 30)
        patch.setattr(_encoded, "IN_MEMORY", 1 << 30)
        whole, _ = tiny.train(engine, tiny.trial(), on=problem_in(folder))
    assert results[0].state == "complete" and results[0].engine == engine
    for one, other in zip(tiny.numbers(lazy[0]), tiny.numbers(whole[0]), strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)


def test_a_model_answers_for_them(on_disk: Problem) -> None:
    encoding, splits = on_disk
    model: Any = Recipe.of(tiny.trial(), tiny.plan(), encoding).model()
    found = champion.predict(model, splits.train.x)
    np.testing.assert_allclose(found, champion.predict(model, splits.train.x[:]), atol=1e-6)
    task = TASKS.get("image_classification")
    assert len(task.baseline(encoding, splits.train, splits.validation.x)) == len(splits.validation)
    judged = splits.validation
    assert deviation(tiny.plan(), encoding, judged, champion.predict(model, judged.x)) > 0

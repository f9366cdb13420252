"""Children that start before their setup is known, and the model that one of them makes at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from searchlab.executors import EXECUTORS, Death, Message, Slot
from searchlab.records import Cohort, TrialResult
from searchlab.runner.early import Children
from searchlab.runner.messages import Finish, Idle, Job, Ready
from searchlab.training.champion import load_keras

sys.path.append(str(Path(__file__).parents[1] / "training"))
sys.path.append(str(Path(__file__).parent))

import tiny_problem as tiny
from test_child import setup_for


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    opened = Children(EXECUTORS.get("inline"), [Slot(0)], tmp_path / "logs")
    yield opened
    opened.close()


def until(children: Children, kind: type) -> list[Message | Death]:
    """What the children say up to the first message of a `kind`."""
    heard: list[Message | Death] = []
    for _ in range(180):
        heard += children.wait(1.0)
        if any(isinstance(item, Message) and isinstance(item.content, kind) for item in heard):
            return heard
    raise AssertionError(heard)


def train(children: Children, folder: Path) -> TrialResult:
    children.brief(setup_for(folder, prunes=False, epochs=1))
    until(children, Ready)
    children.send(0, Job(Cohort((tiny.trial(0),))))
    said = [item.content for item in until(children, Idle) if isinstance(item, Message)]
    return next(content for content in said if isinstance(content, TrialResult))


def test_nothing_is_said_before_the_setup_is_there(children: Children, tmp_path: Path) -> None:
    assert children.wait(0.3) == []
    children.brief(setup_for(tmp_path, prunes=False))
    assert [item.slot for item in until(children, Ready)] == [0]


def test_a_child_makes_a_model_of_raw_inputs_and_says_how_noisy_a_score_is(children: Children, tmp_path: Path) -> None:
    result = train(children, tmp_path)
    path = tmp_path / "best.keras"
    slot = children.ask(Finish(tiny.trial(0), str(result.weights), str(path)))
    assert slot == 0
    made = children.answer(slot, 60.0)
    assert made is not None and made.fault is None
    assert made.outputs.shape == (len(made.inputs), 10)
    np.testing.assert_allclose(load_keras(path).predict(made.inputs, verbose=0), made.outputs, atol=1e-6)
    np.testing.assert_allclose(made.outputs.sum(axis=1), 1.0, atol=1e-5)
    accuracy = result.metrics["val_accuracy"]
    assert made.sd == pytest.approx(np.sqrt(accuracy * (1 - accuracy)), abs=1e-6)
    assert made.confusion is not None and made.confusion.trial == 0
    assert made.confusion.classes == tuple("0123456789")
    counts = np.asarray(made.confusion.counts)
    assert counts.trace() / counts.sum() == pytest.approx(accuracy) and counts.sum() == 180


def test_a_model_that_cannot_be_made_is_a_fault_and_no_death(children: Children, tmp_path: Path) -> None:
    train(children, tmp_path)
    slot = children.ask(Finish(tiny.trial(0), str(tmp_path / "gone.npz"), str(tmp_path / "best.keras")))
    assert slot is not None
    made = children.answer(slot, 60.0)
    assert made is not None and made.fault is not None and "gone.npz" in made.fault
    assert not (tmp_path / "best.keras").exists()


def test_a_closed_pool_has_nobody_to_ask(children: Children, tmp_path: Path) -> None:
    children.close()
    assert children.ask(Finish(tiny.trial(0), "w.npz", "m.keras")) is None


@pytest.mark.slow
def test_a_child_that_is_started_again_gets_its_setup_again(tmp_path: Path) -> None:
    children = Children(EXECUTORS.get("local"), [Slot(0)], tmp_path / "logs")
    try:
        children.brief(setup_for(tmp_path, prunes=False))
        children.restart(0)
        assert [item.slot for item in until(children, Ready)] == [0]
    finally:
        children.close()

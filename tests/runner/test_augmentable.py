"""What is no image, or has no classes to mix, is refused with its place before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchlab.config.reader import read_text
from searchlab.errors import SpecError, SpecErrors
from searchlab.runner.augmentable import faults_before_data, refuse
from searchlab.runner.check import check
from searchlab.runner.home import Home
from searchlab.runner.lab import assemble
from searchlab.runner.watch import Nobody
from searchlab.spec import StudySpec
from searchlab.spec.build import build
from searchlab.tasks import Pixels, Problem


def study(augment: str, *, task: str = "image_classification", source: str = "digits") -> StudySpec:
    text = f"study: s\ndata: {{source: {source}}}\ntask: {task}\nspace:\n  model: {{mlp: {{depth: 1}}}}\n  augment:\n"
    return build(read_text(f"{text}    {augment}\n", "f"))


def test_a_table_is_no_image() -> None:
    with pytest.raises(SpecError) as caught:
        check(study("rotation: 0.1", task="tabular_classification", source="iris"))
    assert str(caught.value) == "f:7:5: augment changes images, but tabular_classification learns from table."


def test_an_image_that_is_read_row_by_row_is_none_either(tmp_path: Path) -> None:
    spec = study("rotation: {low: 0, high: 0.1}", task="sequence_classification")
    check(spec)  # the task takes images as well
    with pytest.raises(SpecError) as caught:
        assemble(spec, Home(tmp_path), Nobody())
    assert str(caught.value) == "f:7:5: rotation changes images, and the inputs are of kind 'sequence', not 'image'."


def test_what_is_always_off_asks_for_nothing() -> None:
    for augment in ("flip: none", "rotation: 0.0", "mixup: 0"):
        check(study(augment, task="tabular_regression", source="diabetes"))


def test_numbers_cannot_be_mixed_as_classes_are() -> None:
    spec = study("mixup: {low: 0, high: 0.4}", task="tabular_regression", source="diabetes")
    words = [str(fault) for fault in faults_before_data(spec.space, spec.task)]
    assert words == [
        "f:7:5: augment changes images, but tabular_regression learns from table.",
        "f:7:5: mixup mixes the classes of examples, but tabular_regression has none; leave it out.",
    ]


def test_every_fault_comes_together_with_those_of_the_ranges() -> None:
    with pytest.raises(SpecErrors) as caught:
        check(study("{flip: sideways, rotation: 0.7}", task="tabular_classification", source="iris"))
    text = str(caught.value)
    assert "flip must be" in text and "rotation must lie" in text and "learns from table" in text


def test_rand_augment_takes_gray_and_coloured_images() -> None:
    space = study("rand_augment: [0.0, 0.5]").space
    for channels in (1, 3):
        refuse(space, Problem("image", (8, 8, channels), 2, pixels=Pixels((0.0,), (1.0,), 0.0, 1.0)))
    with pytest.raises(SpecError, match="f:7:5: rand_augment takes images of 1 or 3 channels, and these have 4"):
        refuse(space, Problem("image", (8, 8, 4), 2, pixels=Pixels((0.0,), (1.0,), 0.0, 1.0)))

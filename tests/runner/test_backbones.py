"""Backbones that are files: found, kept in the home by their content, and part of what a study is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from searchlab.errors import DataError, SpecErrors
from searchlab.runner import backbones
from searchlab.runner.check import check
from searchlab.runner.corners import corner_summaries
from searchlab.runner.home import Home
from searchlab.search.definition import Definition, differences
from searchlab.space import Pick
from searchlab.spec import StudySpec
from searchlab.spec.load import load_study

sys.path.append(str(Path(__file__).parents[1] / "training"))

from tiny_backbones import file_of, model

STUDY = """
study: few
data: {source: digits}
task: image_classification
space: {model: {transfer: {backbone: BACKBONE}}}
"""


def spec(folder: Path, backbone: str) -> StudySpec:
    path = folder / "few.yaml"
    path.write_text(STUDY.replace("BACKBONE", backbone))
    return load_study(path)


def test_a_file_is_kept_under_its_digest_and_found_there(tmp_path: Path) -> None:
    (tmp_path / "mine.keras").write_bytes(content := Path(file_of()).read_bytes())
    model(4, 1).save_weights(tmp_path / "mine.weights.h5")
    asked = spec(tmp_path, "[mobilenet_v2, mine.keras, 'mobilenet_v2:mine.weights.h5', mobilenet_v2:none]")
    home = Home(tmp_path / "home")
    files = backbones.gather(asked, home)
    assert set(files) == {"mine.keras", "mobilenet_v2:mine.weights.h5"}
    name, _, path = files["mine.keras"].partition(":")
    assert name == "keras_file" and Path(path).read_bytes() == content and path.endswith(".keras")
    assert files["mobilenet_v2:mine.weights.h5"].endswith(".weights.h5")
    digests = backbones.digests(files)
    assert Path(path).name == f"{digests['mine.keras']}.keras" and len(digests["mine.keras"]) == 64
    (tmp_path / "mine.keras").unlink()  # what was kept serves a study that was begun
    assert backbones.gather(asked, home) == files


def test_models_are_shown_with_the_file_that_was_found(tmp_path: Path) -> None:
    (tmp_path / "mine.keras").write_bytes(Path(file_of()).read_bytes())
    ((head, *lines),) = corner_summaries(spec(tmp_path, "mine.keras"), Home(tmp_path / "home"))
    assert "mine.keras" in head and any("Trainable params" in line for line in lines)


def test_the_best_model_of_another_study_is_taken(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    asked = spec(tmp_path, "study:glyphs-cnn")
    with pytest.raises(DataError, match=r"the study 'glyphs-cnn', which has none .* run that study first"):
        backbones.gather(asked, home)
    champion = home.study("glyphs-cnn").champion
    champion.parent.mkdir(parents=True)
    champion.write_bytes(content := Path(file_of()).read_bytes())
    (found,) = backbones.gather(asked, home).values()
    assert found.startswith("study:") and Path(found.partition(":")[2]).read_bytes() == content


def test_a_file_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "glyphs.keras").write_bytes(b"a model")
    with pytest.raises(DataError, match=r"glyph\.keras.*Did you mean 'glyphs\.keras'"):
        backbones.gather(spec(tmp_path, "glyph.keras"), Home(tmp_path / "home"))


def test_an_unknown_backbone_is_a_fault_of_the_study_file(tmp_path: Path) -> None:
    with pytest.raises(SpecErrors, match=r"few\.yaml:5:.*mobilenet2.*Did you mean 'mobilenet_v2'"):
        check(spec(tmp_path, "mobilenet2"))
    with pytest.raises(SpecErrors, match="needs to be told which"):
        check(spec(tmp_path, "keras_hub"))


def test_another_content_is_another_study(tmp_path: Path) -> None:
    def definition(digest: str) -> Definition:
        asked = spec(tmp_path, "mine.keras")
        objective = check(asked).objective
        sampler = asked.search.sampler
        pick = Pick(sampler.name, {})
        return Definition(asked.space, objective, pick, pick, 3, 0, {"backbones": {"mine.keras": digest}})

    assert not list(differences(definition("a"), definition("a")))
    (line,) = differences(definition("a"), definition("b"))
    assert line.startswith("backbones:")

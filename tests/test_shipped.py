"""Shipped studies and spaces are found by name, in a wheel as in a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchlab import shipped
from searchlab.errors import Mark, SpecError


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "site" / "searchlab"
    for kind in ("studies", "search_spaces"):
        (package / "shipped" / kind).mkdir(parents=True)
    (package / "shipped/studies/digits_cnn.yaml").write_text("# studies/digits_cnn.yaml — a small CNN.\nstudy: a\n")
    (package / "shipped/search_spaces/cnn.yaml").write_text("# A CNN.\nmodel: cnn\n")
    monkeypatch.setattr(shipped, "_PACKAGE", package)
    monkeypatch.chdir(tmp_path)
    return package


@pytest.mark.parametrize("name", ["digits_cnn", "digits_cnn.yaml", "studies/digits_cnn.yaml", "studies/digits_cnn"])
def test_a_wheel_answers_to_names_and_paths(wheel: Path, name: str) -> None:
    assert shipped.find(name) == wheel / "shipped/studies/digits_cnn.yaml"


def test_a_checkout_answers_too(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "_PACKAGE", wheel / "shipped" / "none")
    assert shipped.find("digits_cnn") == wheel / "shipped" / "studies" / "digits_cnn.yaml"


def test_an_existing_path_wins(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "digits_cnn").write_text("study: mine\n")
    assert shipped.find("digits_cnn") == Path("digits_cnn")


def test_a_space_is_sought_beside_the_study_first(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "cnn.yaml").write_text("model: mlp\n")
    assert shipped.find("cnn.yaml", kind="search_spaces", beside=tmp_path / "mine") == tmp_path / "mine" / "cnn.yaml"
    assert shipped.find("cnn", kind="search_spaces", beside=tmp_path / "mine").parent.name == "search_spaces"


@pytest.mark.parametrize("name", ["digits_cn", "nul\0", "x" * 5000, "", "../../digits"])
def test_what_is_not_there_is_refused_with_the_nearest(wheel: Path, name: str) -> None:
    with pytest.raises(SpecError, match="no shipped study") as caught:
        shipped.find(name, mark=Mark("f", 1, 1))
    assert caught.value.mark == Mark("f", 1, 1)
    assert name != "digits_cn" or "Did you mean 'digits_cnn'?" in caught.value.message


def test_summaries_come_from_the_first_comment(wheel: Path) -> None:
    assert shipped.summaries() == {"studies": {"digits_cnn": "a small CNN."}, "search_spaces": {"cnn": "A CNN."}}

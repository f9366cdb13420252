"""A catalog finds plugins by the names of their files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from searchlab.catalog import Catalog
from searchlab.errors import Mark, UnknownName


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog[int]:
    package = tmp_path / "shelf_of_tests"
    package.mkdir()
    (package / "__init__.py").write_text('"""A shelf."""\n')
    (package / "two.py").write_text('"""The number two.\n\nAnd more.\n"""\nTHING = 2\n')
    (package / "one.py").write_text('"""The number one."""\nTHING = 1\n')
    (package / "broken.py").write_text('"""Cannot be imported."""\nraise RuntimeError\n')
    (package / "_private.py").write_text("THING = 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield Catalog("shelf_of_tests", binds="THING", kind="thing")
    for name in [name for name in sys.modules if name.startswith("shelf_of_tests")]:
        del sys.modules[name]


def test_names_are_sorted_files_without_the_private_ones(catalog: Catalog[int]) -> None:
    assert catalog.names() == ("broken", "one", "two")


def test_names_and_summaries_import_nothing(catalog: Catalog[int]) -> None:
    assert [catalog.summary(name) for name in catalog.names()] == [
        "Cannot be imported.",
        "The number one.",
        "The number two.",
    ]
    assert "shelf_of_tests.one" not in sys.modules


def test_get_gives_what_the_file_binds(catalog: Catalog[int]) -> None:
    assert catalog.get("two") == 2


def test_an_unknown_name_is_refused_at_its_place(catalog: Catalog[int]) -> None:
    with pytest.raises(UnknownName, match=r"f:1:2: no thing is called 'tow'. Did you mean 'two'"):
        catalog.get("tow", Mark("f", 1, 2))


def test_packages_of_others_join_by_entry_point(catalog: Catalog[int], tmp_path: Path) -> None:
    (tmp_path / "of_others.py").write_text('"""Of others."""\nTHING = 3\n')
    info = tmp_path / "of_others-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: of-others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[shelf_of_tests]\nthree = of_others\n")
    assert "three" in catalog.names()
    assert catalog.get("three") == 3

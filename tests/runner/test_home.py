"""Names that could lead out of the folder, by whatever command they come in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from searchlab.errors import SpecError
from searchlab.runner.champion import export
from searchlab.runner.deliver import audit, deliver, rebuild
from searchlab.runner.final_test import final_test
from searchlab.runner.home import Home
from searchlab.runner.promote import promote
from searchlab.runner.restore import restore
from searchlab.runner.stored import read_study, stored_spec
from searchlab.search.storage import open_storage

HOSTILE = ("../x", "..", "..%2fx", "%2e%2e/x", "%252e%252e%252fx", "/etc/x", "a/b", "a\\b", "a\x00b", "a\nb", "", ".x")

DOORS: dict[str, Callable[[str, Home], object]] = {
    "status": lambda name, home: read_study(name, home, None),
    "resume": lambda name, home: stored_spec(name, home, None),
    "restore": lambda name, home: restore(name, home, None),
    "sync": lambda name, home: deliver(name, home, None),
    "rebuild": lambda name, home: rebuild(name, home, None),
    "audit": lambda name, home: audit(name, home, None),
    "final-test": final_test,
    "promote": promote,
    "export": lambda name, home: export(name, home, path=home.folder / "x.keras"),
}


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_h7_no_study_lies_outside_of_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="cannot be the name of a study"):
        Home(tmp_path).study(name)


@pytest.mark.parametrize("door", DOORS)
def test_h7_no_command_follows_such_a_name(tmp_path: Path, door: str) -> None:
    home = Home(tmp_path / "home")
    home.make()
    open_storage(home.storage_url)
    before = {path for path in tmp_path.rglob("*")}
    for name in ("../../x", "..%2f..%2fx", "a\x00b"):
        with pytest.raises(SpecError):
            DOORS[door](name, home)
    assert {path for path in tmp_path.rglob("*") if "optuna.db" not in path.name} <= before


def test_h9_a_new_home_is_for_its_user_alone(tmp_path: Path) -> None:
    folder = Home(tmp_path / "home").make()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_home_that_others_may_see_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    (tmp_path / "home").chmod(0o755)
    assert Home(tmp_path / "home").make().stat().st_mode & 0o777 == 0o755

"""What a user installs: the wheel holds the shipped files, the lock holds hashes and no address."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout and unpacked as an installer would."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_every_shipped_file(unpacked: Path) -> None:
    for kind in ("studies", "search_spaces"):
        here = {path.name for path in (ROOT / kind).glob("*.yaml")}
        assert here == {path.name for path in (unpacked / "searchlab" / "shipped" / kind).glob("*.yaml")}
    assert (unpacked / "searchlab" / "reports" / "page.css").exists()


def test_shipped_studies_work_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "import searchlab; assert searchlab.__file__.startswith(sys.path[0])\n"
        "from searchlab.cli import main; main()"
    )
    for arguments in (["validate", "digits_cnn"], ["list", "studies"], ["validate", "studies/digits_lstm.yaml"]):
        done = subprocess.run(
            [sys.executable, "-c", program, str(unpacked), *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONSAFEPATH": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert "digits" in done.stdout


LOCKS = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.lock"), *ROOT.glob("stack/*.lock")])


def requirements_of(lock: str) -> list[str]:
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    return [entry for entry in entries if not entry.startswith("#")]


def test_images_have_locks_of_their_own() -> None:
    assert {f"stack/requirements.{target}.lock" for target in ("cpu", "gpu", "ray", "server", "build")} <= set(LOCKS)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_lock_pins_hashes_and_names_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text and "@ " not in text and "index" not in text.split("--hash")[0]
    for requirement in requirements_of(lock):
        assert re.match(r"^[A-Za-z0-9_.-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_an_image_has_the_very_versions_that_are_tested(lock: str) -> None:
    def pins(name: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for entry in requirements_of(name):
            package, _, version = entry.split()[0].partition("==")
            found.setdefault(package, set()).add(version)
        return found

    tested = pins("requirements.lock")
    tested["tensorflow-cpu"] = tested["tensorflow"]
    other = {name: found for name, found in pins(lock).items() if not found <= tested.get(name, found)}
    assert not other, f"make lock renews {lock}"

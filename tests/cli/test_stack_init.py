"""`searchlab stack init`: secrets made once, for one pair of eyes, kept out of git."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from searchlab.errors import SpecError
from searchlab.stack import secrets
from searchlab.stack.compose import digest_of


def init(folder: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "searchlab", "stack", "init", *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path or os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """That of a stack which has no secrets yet."""
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    return tmp_path


def test_it_asks_nothing_and_says_what_comes_next(folder: Path) -> None:
    done = init(folder, path=str(Path(sys.executable).parent))  # neither docker nor git
    assert done.returncode == 0, done.stderr
    assert "docker compose up -d --wait" in done.stdout
    found = secrets.read(folder)
    assert set(found) == set(secrets.SECRETS)
    assert not [value for value in found.values() if value in done.stdout + done.stderr]


def test_secrets_are_long_random_and_all_different(folder: Path, tmp_path: Path) -> None:
    secrets.make(folder, {})
    first = secrets.read(folder)
    (folder / ".env").unlink()
    secrets.make(folder, {})
    both = [*first.values(), *secrets.read(folder).values()]
    assert len(set(both)) == 2 * len(secrets.SECRETS)
    assert all(re.fullmatch(r"[\w-]{43}", value) for value in both)  # 32 bytes, and nothing that a shell or URL minds


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_its_owner_may_read_it_whatever_the_umask(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        file = secrets.make(folder, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.stat().st_nlink == 1
    assert not list(folder.glob(".tmp-*"))


def test_the_evaluator_may_read_the_folder_of_data_that_it_makes(folder: Path) -> None:
    """The command line has umask 077, and the evaluator a user of its own."""
    assert init(folder).returncode == 0
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o755


def test_a_folder_of_data_that_is_there_stays_as_it_is(folder: Path) -> None:
    (folder / "data").mkdir(mode=0o700)
    secrets.make(folder, {})
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700


def test_it_never_overwrites_and_says_so(folder: Path) -> None:
    (folder / ".env").write_text("MINE=1\n")
    done = init(folder)
    assert done.returncode == 2
    assert "exists already and is left as it is" in done.stderr and "Traceback" not in done.stderr
    assert (folder / ".env").read_text() == "MINE=1\n"


def test_a_link_that_leads_nowhere_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / ".env").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match="exists already"):
        secrets.make(folder, {})
    assert not (tmp_path / "elsewhere").exists()


def test_of_two_at_once_one_wins_and_the_other_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(place: Path, name: str) -> None:
        (place / ".env").write_text("OF_THE_OTHER=1\n")

    monkeypatch.setattr(secrets, "ignore", slow)
    with pytest.raises(SpecError, match="another init"):
        secrets.make(folder, {})
    assert secrets.read(folder) == {"OF_THE_OTHER": "1"}
    assert not list(folder.glob(".tmp-*"))


def test_git_ignores_it_from_then_on(folder: Path) -> None:
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    (folder / ".gitignore").write_text("/data/")  # without a last newline
    assert init(folder).returncode == 0
    status = subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True)
    assert ".env" not in status.stdout.split()
    assert (folder / ".gitignore").read_text() == "/data/\n/.env\n"


def test_where_git_ignores_it_already_nothing_is_added(folder: Path) -> None:
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    (folder / ".gitignore").write_text("*.env\n")
    secrets.make(folder, {})
    assert (folder / ".gitignore").read_text() == "*.env\n"


def test_this_repository_ignores_it() -> None:
    root = Path(secrets.__file__).resolve().parents[2]
    assert {"/.env", "/data/", "/backups/"} <= set((root / ".gitignore").read_text().splitlines())


def test_a_folder_without_a_compose_file_is_refused(tmp_path: Path) -> None:
    done = init(tmp_path)
    assert done.returncode == 2
    assert "holds no compose.yaml" in done.stderr and "--folder" in done.stderr
    assert not list(tmp_path.iterdir())


def test_another_folder_may_be_named(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert init(tmp_path_factory.mktemp("elsewhere"), "--folder", str(folder)).returncode == 0
    assert (folder / ".env").exists() and (folder / "data").is_dir()


def test_images_are_named_by_digest_where_a_registry_answers(folder: Path) -> None:
    """A docker that answers as the real one does; what it says of one image goes into `.env`."""
    programs = folder / "bin"
    programs.mkdir()
    answer = '{"mediaType": "x", "digest": "sha256:' + "a" * 64 + '"}'
    (programs / "docker").write_text(
        f"#!/bin/sh\ncase \"$*\" in *imagetools*python*) echo '{answer}' ;; *) exit 1 ;; esac\n"
    )
    (programs / "docker").chmod(0o755)
    done = init(folder, path=f"{programs}:{os.environ['PATH']}")
    assert done.returncode == 0
    assert secrets.read(folder)["PYTHON_IMAGE"] == f"{secrets.IMAGES['PYTHON_IMAGE']}@sha256:{'a' * 64}"
    assert "POSTGRES_IMAGE" not in secrets.read(folder)
    assert "No registry" in done.stdout


def test_without_docker_there_is_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert digest_of("python:3.11-slim-bookworm") is None

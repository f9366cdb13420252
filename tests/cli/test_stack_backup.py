"""`searchlab stack backup` and `restore`, with a docker that notes what it is asked; tests/stack has a real one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from searchlab.errors import SpecError
from searchlab.stack import secrets
from searchlab.stack.backup import MANIFEST, PARTS, checked

DOCKER = f"""#!{sys.executable}
import json, os, sys
words = sys.argv[4:]  # after: compose --project-directory FOLDER
with open(os.environ["NOTES"], "a") as notes:
    notes.write(json.dumps(words) + "\\n")
answers = {{
    "ps": os.environ.get("SERVICES", "postgres mlflow evaluator worker"),
    "config": "postgres\\nmlflow\\nworker\\nevaluator\\nmigrate",
}}
if words[0] in answers or "config" in words:
    print(answers.get(words[0], answers["config"]))
elif "psql" in words:
    print("t" if "to_regclass" in words[-1] else os.environ.get("COUNT", "0"))
elif "pg_dump" in words or "--create" in words and "tar" in words:
    sys.stdout.write("what " + words[-1] + " gave: " + " ".join(words))
else:
    sys.stdout.write(sys.stdin.read()[:0])
sys.exit(int(os.environ.get("STATUS_OF_" + next((w for w in ("pg_dump", "tar") if w in words), "none").upper(), "0")))
"""


class Lab:
    """A stack whose docker is a script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "compose.yaml").write_text("services: {}\n")
        secrets.make(folder, {})
        (folder / "bin").mkdir()
        (folder / "bin" / "docker").write_text(DOCKER)
        (folder / "bin" / "docker").chmod(0o755)

    def stack(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            [sys.executable, "-m", "searchlab", "stack", *words],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "NOTES": str(self.folder / "notes"), **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    @property
    def asked(self) -> list[list[str]]:
        notes = self.folder / "notes"
        return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def saved(lab: Lab) -> Path:
    done = lab.stack("backup", "saved.tar")
    assert done.returncode == 0, done.stderr
    (lab.folder / "notes").unlink()
    return lab.folder / "saved.tar"


def test_an_archive_holds_every_part_as_its_manifest_says(saved: Path) -> None:
    with tarfile.open(saved) as archive:
        assert archive.getnames() == [MANIFEST, *PARTS]
        manifest = json.load(archive.extractfile(MANIFEST))  # type: ignore[arg-type]
        for name in PARTS:
            content = archive.extractfile(name).read()  # type: ignore[union-attr]
            assert manifest["parts"][name] == {
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert not list(saved.parent.glob(".tmp-*"))


def test_databases_are_read_before_the_volumes_that_they_name(lab: Lab) -> None:
    lab.stack("backup", "saved.tar")
    order = [word for words in lab.asked for word in words if word in {"pg_dump", "tar"}]
    assert order == [*["pg_dump"] * 2, *["tar"] * 4]


def test_no_secret_is_in_an_archive_or_an_argument(lab: Lab) -> None:
    lab.stack("backup", "saved.tar")
    lab.stack("restore", "saved.tar")
    said = (lab.folder / "saved.tar").read_bytes().decode(errors="replace") + str(lab.asked)
    assert not [value for value in secrets.read(lab.folder).values() if value in said]


def test_nothing_is_overwritten(lab: Lab, saved: Path) -> None:
    before = saved.read_bytes()
    done = lab.stack("backup", "saved.tar")
    assert done.returncode == 2 and "overwrites nothing" in done.stderr
    assert saved.read_bytes() == before and lab.asked == []


def test_a_stack_that_does_not_run_is_not_backed_up(lab: Lab) -> None:
    done = lab.stack("backup", "saved.tar", SERVICES="postgres mlflow")
    assert done.returncode == 4
    assert "evaluator does not run" in done.stderr and "docker compose up" in done.stderr


@pytest.mark.parametrize("part", ["PG_DUMP", "TAR"])
def test_a_part_that_fails_leaves_no_archive(lab: Lab, part: str) -> None:
    done = lab.stack("backup", "saved.tar", **{f"STATUS_OF_{part}": "2"})
    assert done.returncode == 4 and "status 2" in done.stderr
    assert not (lab.folder / "saved.tar").exists() and not list(lab.folder.glob(".tmp-*"))


def test_files_that_change_while_they_are_read_are_no_error(lab: Lab) -> None:
    assert lab.stack("backup", "saved.tar", STATUS_OF_TAR="1").returncode == 0


def test_a_stack_that_holds_something_is_not_replaced_unasked(lab: Lab, saved: Path) -> None:
    done = lab.stack("restore", "saved.tar", COUNT="3")
    assert done.returncode == 2
    assert "3 studies" in done.stderr and "--force" in done.stderr
    assert not [words for words in lab.asked if {"pg_restore", "stop", "find", "tar"} & set(words)]


@pytest.mark.parametrize("count", ["0", "3"])
def test_a_restore_stops_everything_first_then_fills_it(lab: Lab, saved: Path, count: str) -> None:
    done = lab.stack("restore", "saved.tar", "--force", COUNT=count)
    assert done.returncode == 0, done.stderr
    steps = [word for words in lab.asked for word in words if word in {"stop", "pg_restore", "find", "tar", "python"}]
    assert steps == ["stop", *["pg_restore"] * 2, *["find", "tar"] * 4, "python"]
    assert next(words for words in lab.asked if "stop" in words)[-4:] == ["evaluator", "migrate", "mlflow", "worker"]


class TestChecked:
    """What is no backup is refused before docker is asked for anything."""

    def refused(self, file: Path, *words: str) -> None:
        with pytest.raises(SpecError) as caught:
            checked(file)
        assert all(word in str(caught.value) for word in (str(file), *words)), caught.value

    def changed(self, saved: Path, name: str, content: bytes | None) -> Path:
        """The archive with another content of one member, or without it."""
        other = saved.with_name("changed.tar")
        with tarfile.open(saved) as archive, tarfile.open(other, "w") as made:
            for member in archive.getmembers():
                old = archive.extractfile(member).read()  # type: ignore[union-attr]
                if member.name != name:
                    made.addfile(member, io.BytesIO(old))
                elif content is not None:
                    member.size = len(content)
                    made.addfile(member, io.BytesIO(content))
        return other

    def test_every_part_is_looked_at(self, saved: Path) -> None:
        for name in PARTS:
            self.refused(self.changed(saved, name, b"something else"), name, "sha256")

    def test_a_part_is_missing(self, saved: Path) -> None:
        self.refused(self.changed(saved, "sealed.tar", None), "not a whole backup")

    def test_a_format_that_is_not_known(self, saved: Path) -> None:
        self.refused(self.changed(saved, MANIFEST, b'{"format": 99}'), "format 99", "format 1")

    def test_a_manifest_that_is_none(self, saved: Path) -> None:
        for content in (b"[]", b"{}", b"no json", b'{"format": 1, "parts": {}}'):
            self.refused(self.changed(saved, MANIFEST, content))

    def test_a_link_in_the_place_of_a_part(self, saved: Path) -> None:
        other = saved.with_name("linked.tar")
        with tarfile.open(saved) as archive, tarfile.open(other, "w") as made:
            for member in archive.getmembers():
                if member.name == "home.tar":
                    member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
                made.addfile(member, archive.extractfile(member) if member.isreg() else None)
        self.refused(other, "not a whole backup")

    def test_files_of_other_kinds(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("no archive")
        (tmp_path / "empty").touch()
        for name in ("text", "empty"):
            self.refused(tmp_path / name)
        self.refused(tmp_path / "absent", "is not there")

    def test_half_an_archive(self, saved: Path) -> None:
        half = saved.with_name("half.tar")
        half.write_bytes(saved.read_bytes()[: saved.stat().st_size // 2])
        self.refused(half)

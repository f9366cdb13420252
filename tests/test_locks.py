"""H11: what is installed is named by version and content, and other content under the same name is refused."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", *sorted(f"stack/{path.name}" for path in ROOT.glob("stack/requirements.*.lock")))
ENTRY = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[a-z0-9,-]+\])?==[A-Za-z0-9.+!]+( ; [^\n#]+)?( --hash=sha256:[0-9a-f]{64})+"
)
INSTALLS = ("Makefile", "Dockerfile", "stack/install.sh", "stack/entry.sh", "stack/ray_node.sh")


def entries_of(text: str) -> list[str]:
    """Each requirement of a lock in one line with single blanks, comments left out."""
    lines = "\n".join(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return [" ".join(entry.split()) for entry in re.sub(r"\\\n", " ", lines).splitlines()]


def installs_of(text: str) -> list[str]:
    """Each command of a file that has pip install something."""
    bare = re.sub(r"(^|\s)#.*", "", re.sub(r"\\\n", " ", text), flags=re.MULTILINE)
    return [one for one in re.split(r"\n|&&|;", bare) if re.search(r"\bpip\b.* install\s", one)]


@pytest.mark.parametrize("lock", LOCKS)
def test_h11_every_entry_has_a_version_and_a_hash(lock: str) -> None:
    entries = entries_of((ROOT / lock).read_text(encoding="utf-8"))
    assert len(entries) > 3
    assert [entry for entry in entries if ENTRY.fullmatch(entry) is None] == []


@pytest.mark.parametrize(
    "entry",
    [
        "numpy==2.0",
        "numpy>=2.0 --hash=sha256:" + "0" * 64,
        "numpy==2.* --hash=sha256:" + "0" * 64,
        "numpy --hash=sha256:" + "0" * 64,
        "numpy==2.0 --hash=md5:" + "0" * 32,
        "numpy==2.0 --hash=sha256:" + "0" * 63,
        "numpy @ file:///numpy.whl --hash=sha256:" + "0" * 64,
        "--index-url x",
    ],
)
def test_h11_no_other_entry_is_taken_for_one(entry: str) -> None:
    assert ENTRY.fullmatch(entry) is None


def test_h11_whatever_is_installed_from_outside_must_have_its_hash() -> None:
    found = {name: installs_of((ROOT / name).read_text(encoding="utf-8")) for name in INSTALLS}
    assert len(found["Makefile"]) == 2 and len(found["Dockerfile"]) == 1 and len(found["stack/install.sh"]) == 1
    for name, commands in found.items():
        for command in commands:
            is_ours = "--no-deps" in command and re.search(r"--no-index|--no-build-isolation", command)
            assert "--require-hashes" in command or is_ours, f"{name}: {command}"
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    used = set(re.findall(r"install-lock (\S+)", dockerfile))
    assert {f"stack/{lock}" for lock in used} == set(LOCKS) - {"requirements.lock"}
    assert "--requirement requirements.lock" in " ".join(found["Makefile"])


def wheel_in(folder: Path) -> Path:
    """A package of one line, as a wheel that was made by hand."""
    files = {
        "tiny.py": b"VALUE = 1\n",
        "tiny-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    record = "\n".join([*rows, "tiny-1.0.dist-info/RECORD,,", ""])
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in {**files, "tiny-1.0.dist-info/RECORD": record.encode()}.items():
            wheel.writestr(name, content)
    return path


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("none", None),
        ("the hash", "THESE PACKAGES DO NOT MATCH THE HASHES"),
        ("the wheel", "THESE PACKAGES DO NOT MATCH THE HASHES"),
        ("no hash", "Hashes are required in --require-hashes mode"),
    ],
)
def test_h11_pip_refuses_what_its_lock_does_not_name(tmp_path: Path, change: str, words: str | None) -> None:
    wheel = wheel_in(tmp_path)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    entry = {
        "the hash": f"tiny==1.0 --hash=sha256:{digest[::-1]}",
        "no hash": "tiny==1.0",
    }.get(change, f"tiny==1.0 --hash=sha256:{digest}")
    if change == "the wheel":
        with zipfile.ZipFile(wheel, "a") as archive:
            archive.writestr("tiny.pth", "import os")
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"{entry}\n")
    pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "install", "--no-cache-dir"]
    place = ["--no-index", "--find-links", str(tmp_path), "--target", str(tmp_path / "site")]
    done = subprocess.run(
        [*pip, *place, "--require-hashes", "--requirement", str(lock)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode == 0) == (words is None), done.stderr
    assert (tmp_path / "site" / "tiny.py").exists() == (words is None)
    assert words is None or words in done.stderr

"""The pages beside the README name what is there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
LINES = [
    (page.name, line.partition("  #")[0].strip())
    for page in PAGES
    for body in re.findall(r"^```bash\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for line in body.splitlines()
]
COMMANDS = [(page, part.strip()) for page, line in LINES for part in line.split("&&")]


@cache
def help_of(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "searchlab", *words, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("page", "command"), [pair for pair in COMMANDS if pair[1].startswith("searchlab ")])
def test_each_command_and_its_options_are_known(page: str, command: str) -> None:
    words = shlex.split(command)[1:]
    path = words[:3] if words[:2] == ["stack", "user"] else words[:2] if words[0] == "stack" else words[:1]
    text = help_of(*path)
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        assert option in text, command


def test_each_service_and_profile_is_known() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", ())}
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"--profile (\w+)", text)) == profiles
    assert set(re.findall(r"--scale (\w+)=", text)) <= set(services)
    for names in re.findall(r"docker compose logs ([\w ]+)`", text):
        assert set(names.split()) <= set(services)

"""Every block of the README does what it says: commands run, YAML loads, Python works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from searchlab.runner.check import check
from searchlab.spec.load import load_study, load_text

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [(kind, body) for kind, body in re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)]
COMMANDS = [line.partition("  #")[0].strip() for kind, body in BLOCKS if kind == "bash" for line in body.splitlines()]
YAML = [body for kind, body in BLOCKS if kind == "yaml"]
PYTHON = [body for kind, body in BLOCKS if kind == "python"]


def test_there_are_blocks_of_every_kind_and_of_no_other() -> None:
    assert {kind for kind, _ in BLOCKS} == {"bash", "yaml", "python"}
    assert len(COMMANDS) > 10 and len(YAML) >= 2 and len(PYTHON) >= 1


def test_the_study_that_is_explained_is_the_shipped_one() -> None:
    shipped = load_study(ROOT / "studies" / "digits_cnn.yaml")
    assert load_text(YAML[0], folder=ROOT / "studies") == shipped


def test_the_space_that_is_explained_is_valid() -> None:
    space = "\n".join(f"  {line}" for line in YAML[1].splitlines())
    check(load_text(f"study: s\ndata: {{source: digits}}\ntask: image_classification\nspace:\n{space}\n"))


def test_what_more_a_space_may_have_is_valid() -> None:
    (more,) = [body for body in YAML if "augment:" in body]
    space = "\n".join(f"  {line}" for line in f"model: cnn\n{more}".splitlines())
    check(load_text(f"study: s\ndata: {{source: digits}}\ntask: image_classification\nspace:\n{space}\n"))


def test_make_knows_its_targets() -> None:
    targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line}
    wanted = {command.split()[1] for command in COMMANDS if command.startswith("make ")}
    assert wanted and wanted <= targets
    assert "searchlab run studies/digits_cnn.yaml" in (ROOT / "Makefile").read_text()


@pytest.mark.timeout(1800)
def test_the_commands_run_in_their_order_and_then_the_python_block(tmp_path: Path) -> None:
    """In one folder, as a reader would type them; `make` and `pip` have tests of their own."""
    environment = {
        **os.environ,
        "SEARCHLAB_HOME": str(tmp_path / "home"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "COLUMNS": "100",
    }

    def works(arguments: list[str]) -> None:
        done = subprocess.run(
            arguments,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr

    for command in COMMANDS:
        words = shlex.split(command)
        if words[0] == "searchlab":
            works([sys.executable, "-m", *words])
        elif words[0] == "python":
            works([sys.executable, *words[1:]])
        else:
            assert words[0] in ("make", "pip"), command
    study = yaml.safe_load((tmp_path / "wine.yaml").read_text())
    (tmp_path / "wine_study.yaml").write_text(yaml.safe_dump({**study, "study": "from-python"}))
    for number, block in enumerate(PYTHON):
        (tmp_path / f"block{number}.py").write_text(block)
        works([sys.executable, f"block{number}.py"])


@pytest.mark.parametrize("name", re.findall(r"\]\(((?!http)[^)]+)\)", TEXT))
def test_every_link_leads_somewhere(name: str) -> None:
    assert (ROOT / name).exists()

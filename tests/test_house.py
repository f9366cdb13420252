"""The architecture, executable: floors, doors, and the few things that would spoil the house (ARCHITECTURE.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "searchlab"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "seeds", "atomic", "lazy", "devices", "urls", "plain", "redact"),
    ("config", "catalog", "options", "shipped", "failpoints", "nvml", "stack"),
    ("space", "data", "executors"),
    ("records",),
    ("tasks", "optim", "spec"),
    ("models",),
    ("training", "search", "tracking", "reports"),
    ("runner",),
    ("cli",),
    ("__main__",),
)
"""From the ground up.  A room imports from the floors below its own, never from its own floor."""

DOORS: dict[str, tuple[str, ...]] = {
    "keras": ("tasks", "optim", "models", "training", "data/sources/keras_dataset.py", "runner/door.py"),
    "h5py": ("models/archive.py",),
    "keras_hub": ("models/backbones/keras_hub.py",),
    "tensorflow": ("training/engines/fused.py", "training/program/on_tensorflow.py"),
    "jax": ("training/program/on_jax.py", "training/program/convolution.py", "training/program/draws.py"),
    "torch": (),
    "pynvml": ("nvml.py",),
    "optuna": ("search",),
    "mlflow": ("tracking",),
    "plotly": ("reports", "search/figures.py"),
    "matplotlib": ("reports", "search/figures.py"),
    "typer": ("cli",),
    "rich": ("cli",),
    "yaml": ("config",),
    "sklearn": ("data",),
    "statsmodels": ("data",),
    "PIL": ("data",),
    "pyarrow": ("data", "reports"),
    "pandas": ("data", "reports", "runner/door.py"),
    "sqlalchemy": ("search",),
    "ray": ("executors/_ray_broker.py",),
}
"""Each heavy library, and the only rooms that may open its door."""

FILES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that the file imports, lazily or not, for typing or not, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy":
            argument = node.args[0]
            assert isinstance(argument, ast.Constant)
            yield str(argument.value), node.lineno


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_run_downwards(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":  # the front door of the whole package
        return
    for module, line in imports_of(path):
        parts = module.split(".")
        if parts[0] != "searchlab" or len(parts) == 1:
            continue
        other = parts[1]
        if other == "__version__" or other == room:
            continue
        assert floor_of(other) < floor_of(room), f"{path}:{line}: {room} may not import {other}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_heavy_libraries_come_in_by_their_own_door(path: Path) -> None:
    place = name_of(path)
    for module, line in imports_of(path):
        library = module.split(".")[0]
        if library in DOORS:
            allowed = DOORS[library]
            assert any(place == door or place.startswith(f"{door}/") for door in allowed), (
                f"{path}:{line}: {library} may be imported in {allowed or 'no file at all'} only"
            )


def test_only_the_final_test_names_the_seal() -> None:
    named = {
        name_of(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Name) and node.id == "SealedTest")
        or (isinstance(node, ast.alias) and node.name == "SealedTest")
        or (isinstance(node, ast.Attribute) and node.attr == "SealedTest")
    }
    assert named <= {"data/seal.py", "runner/final_test.py"}


def test_nobody_prints_but_the_command_line() -> None:
    for path in FILES:
        if room_of(path) == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"), (
                f"{path}:{node.lineno}: words for people belong in cli/"
            )


def test_no_drawer_for_odds_and_ends() -> None:
    assert not [path for path in FILES if path.stem in {"utils", "helpers", "common", "misc", "base"}]


def test_every_room_stands_on_a_floor() -> None:
    known = {room for rooms in FLOORS for room in rooms} | {"__init__"}
    assert {room_of(path) for path in FILES} <= known

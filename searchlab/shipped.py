"""Studies and search spaces that come with searchlab, in an installed package as in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from searchlab.errors import Mark, SpecError, nearest

Kind = Literal["studies", "search_spaces"]

_PACKAGE = Path(__file__).resolve().parent


def folder(kind: Kind) -> Path:
    """Where the shipped files of `kind` lie: inside the installed package, else in the checkout around it."""
    installed = _PACKAGE / "shipped" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def names(kind: Kind) -> tuple[str, ...]:
    """The bare names of the shipped files of `kind`, sorted."""
    return tuple(sorted(path.stem for path in folder(kind).glob("*.yaml")))


def summaries() -> dict[Kind, dict[str, str]]:
    """What is shipped, by kind and name, each with the first line of its comment."""
    return {kind: {name: _summary(folder(kind) / f"{name}.yaml") for name in names(kind)} for kind in get_args(Kind)}


def find(
    path_or_name: str | Path, *, kind: Kind = "studies", beside: Path | None = None, mark: Mark | None = None
) -> Path:
    """The file that is meant: an existing path (from `beside`, when given) wins, else a shipped file.

    Shipped files answer to their bare name ("digits_cnn") and to their path ("studies/digits_cnn.yaml").

    Raises:
        SpecError: Neither; the message holds `mark` and the nearest shipped names.
    """
    path = Path(path_or_name) if beside is None else beside / path_or_name
    if _is_file(path):
        return path
    stem = str(path_or_name).removeprefix(f"{kind}/").removesuffix(".yaml")
    shipped = names(kind)
    if stem in shipped:
        return folder(kind) / f"{stem}.yaml"
    noun = "study" if kind == "studies" else "search space"
    hint = nearest(Path(stem).name, shipped)
    known = ", ".join(shipped) or "none"
    raise SpecError(
        f"there is no file {str(path_or_name)!r} and no shipped {noun} of that name.{hint} Shipped: {known}.", mark
    )


def _summary(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").strip()
    _, dash, words = first.partition(" — ")
    return words if dash else first


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name with NUL or one that is too long
        return False

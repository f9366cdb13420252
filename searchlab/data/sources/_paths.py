"""Files that a study names: found from the study file's folder, or a message that says what lies there instead."""

from __future__ import annotations

from pathlib import Path

from searchlab.errors import DataError, nearest


def file_at(path: str, folder: Path) -> Path:
    """The file `path`, counted from `folder`.

    Raises:
        DataError: There is none, with the nearest names; or it is empty.
    """
    found = folder / Path(path).expanduser()
    if not found.is_file():
        raise DataError(_absent(found, "file"))
    if found.stat().st_size == 0:
        raise DataError(f"{found} is empty.")
    return found


def folder_at(path: str, folder: Path) -> Path:
    """The folder `path`, counted from `folder`.

    Raises:
        DataError: There is none, with the nearest names.
    """
    found = folder / Path(path).expanduser()
    if not found.is_dir():
        raise DataError(_absent(found, "folder"))
    return found


def lies_within(path: Path, root: Path) -> bool:
    """Whether `path`, all links followed, lies in `root`."""
    return path.resolve().is_relative_to(root.resolve())


def _absent(path: Path, kind: str) -> str:
    if path.exists():
        return f"{path} is not a {kind}."
    names = sorted(other.name for other in path.parent.iterdir()) if path.parent.is_dir() else []
    near = nearest(path.name, names)
    return f"there is no {kind} {path}.{near} Relative paths count from the folder of the study file."

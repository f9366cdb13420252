"""Which image files there are, and what is known of each: from class folders, or from a table of labels.

No file is opened here, and what is no regular file never is: a FIFO would wait for ever, a device has no end.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from searchlab.data import Array
from searchlab.data.sources._sheet import Sheet

FOLDS = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation"}
FOLDS["test"] = "test"
"""Names of folders, and words in a table, that are parts."""


@dataclass(frozen=True)
class Found:
    """Files with what is known of them, in the order of their examples."""

    paths: list[Path] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Of the files, as messages name them: counted from the root."""
    y: Array = field(default_factory=lambda: np.zeros(0, dtype=np.str_))
    fold: Array | None = None
    group: Array | None = None
    bad: dict[str, str] = field(default_factory=dict)
    """By name, what is wrong with files that can be left out."""
    faults: list[str] = field(default_factory=list)
    """What makes the whole folder unusable: a place that is none, a link that leads out."""


def in_folders(root: Path) -> Found:
    """The files below the class folders of `root`, or of its train, validation and test folders, by their names."""
    tops = _folders(root)
    parts = [top for top in tops if top.name in FOLDS]
    faults = [f"{top.name}: a class folder beside train and test" for top in tops if parts and top not in parts]
    kinds = [(kind, FOLDS[part.name]) for part in parts for kind in _folders(part)] or [(top, "") for top in tops]
    loose = [file for place in [root, *parts] for file in _visible(place) if not file.is_dir()]
    faults += [f"{file.relative_to(root)}: it lies in no class folder" for file in loose]
    paths, names, labels, folds = [], [], [], []
    bad: dict[str, str] = {}
    true_root = root.resolve()
    for kind, fold in kinds:
        for path in _walk(kind):
            name = str(path.relative_to(root))
            if path.is_symlink() and _leads_out(path, true_root):
                faults.append(f"{name}: a link that leads out of the folder")
            elif path.is_symlink() and path.is_dir():
                faults.append(f"{name}: a link to a folder")
            elif (words := _out_of_reach(path)) is not None:
                bad[name] = words
            else:
                paths.append(path)
                names.append(name)
                labels.append(kind.name)
                folds.append(fold)
    return Found(paths, names, np.array(labels), np.array(folds) if any(folds) else None, None, bad, faults)


def in_table(root: Path, sheet: Sheet, *, file: str, label: str, split: str | None, group: str | None) -> Found:
    """The files that the column `file` of `sheet` names, counted from `root`, in the order of its rows.

    Raises:
        DataError: Columns or cells are missing, all together.
    """
    named = {"files": file, "labels": label, "parts": split, "groups": group}
    if not all([sheet.has(name, use) for use, name in named.items() if name is not None]):
        sheet.raise_all()
    names, labels = sheet.filled(file, "file"), sheet.labels(label, "auto")
    folds = _parts(sheet, split) if split is not None else None
    groups = sheet.filled(group, "group") if group is not None else None
    _refuse_twice(sheet, names)
    sheet.raise_all()
    bad: dict[str, str] = {}
    faults, kept = [], []
    true_root = root.resolve()
    for row, name in enumerate(names.tolist()):
        path = root / name
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            faults.append(f"{sheet.file}, {sheet.unit} {sheet.rows[row]}: {name!r} leads out of the folder")
        elif _leads_out(path, true_root):
            faults.append(
                f"{sheet.file}, {sheet.unit} {sheet.rows[row]}: {name!r} is a link that leads out of the folder"
            )
        elif (words := _out_of_reach(path)) is not None:
            bad[name] = words
        else:
            kept.append(row)
    return Found(
        [root / names[row] for row in kept],
        names[kept].tolist(),
        labels[kept],
        None if folds is None else folds[kept],
        None if groups is None else groups[kept],
        bad,
        faults,
    )


def _leads_out(path: Path, true_root: Path) -> bool:
    try:
        return not path.resolve().is_relative_to(true_root)
    except (OSError, RuntimeError):  # a circle of links leads nowhere
        return False


def _out_of_reach(path: Path) -> str | None:
    """Why `path` is no file that can be opened; None if it is one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "there is no such file"
    except OSError as error:  # a name that is too long, a circle of links
        return f"it cannot be found ({error.strerror})"
    return None if stat.S_ISREG(mode) else "not a regular file"


def _parts(sheet: Sheet, column: str) -> Array:
    words = sheet.filled(column, "part")
    unknown = ~np.isin(words, [*FOLDS, ""])
    if unknown.any():
        sheet.fault(f"column {column!r} must say train, validation or test, but does not {sheet.where(unknown)}.")
    return np.array([FOLDS.get(word, "") for word in words.tolist()])


def _refuse_twice(sheet: Sheet, names: Array) -> None:
    _, first = np.unique(names, return_index=True)
    again = np.ones(len(names), dtype=bool)
    again[first] = False
    if again.any():
        sheet.fault(f"files are named twice {sheet.where(again)}; an image with several labels is no example of any.")


def _walk(folder: Path) -> Iterator[Path]:
    """All that is no folder, below `folder`; links to folders are not followed but listed."""
    if folder.is_symlink():
        yield folder
        return
    for path in _visible(folder):
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> Iterable[Path]:
    """What lies in `folder`, sorted, without hidden files and what file managers leave behind."""
    return sorted(
        path for path in folder.iterdir() if path.name[0] != "." and path.name not in ("Thumbs.db", "desktop.ini")
    )

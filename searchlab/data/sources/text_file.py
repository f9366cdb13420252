"""Windows of characters from text files, a list of files for each class: which kind of text is this?

The alphabet is fixed (printable ASCII, line break, tab, and one token for everything else), so nothing is fitted on
text that the search must not see.  All windows of a file form a group: no file is on both sides of a split.
"""

from __future__ import annotations

import platform
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Array, Collection, Examples
from searchlab.data.sources._paths import folder_at, lies_within
from searchlab.errors import DataError

STANDARD_LIBRARY = "stdlib"
ALPHABET = "\n\t" + "".join(map(chr, range(32, 127)))
VOCABULARY = ("<pad>", "<other>", *ALPHABET)
FOREIGN = {"site-packages", "dist-packages", "__pycache__"}
"""Folders of the standard library that are not part of it."""
LARGEST_FILE = 50_000_000
"""Bytes."""


class TextFileOptions(options.Options):
    """Settings of the source `text_file`."""

    root: str = options.on_disk(unless=STANDARD_LIBRARY)
    """The folder of the files, counted from the study file's; or `stdlib`: the sources of Python's standard library."""
    files: dict[str, list[str]] = pydantic.Field(min_length=2)
    """For each label its files, as patterns below the root such as `email/*.py`."""
    length: int = pydantic.Field(64, ge=2)
    """Characters in a window."""
    stride: int = pydantic.Field(64, ge=1)
    """Characters from the start of one window to the start of the next."""
    per_class: int | None = pydantic.Field(None, ge=1)
    """At most so many windows of a label, taken evenly from its files and from all over each file."""


class TextFile:
    """The source `text_file`."""

    Options: type[options.Options] = TextFileOptions

    def load(self, options: TextFileOptions, folder: Path) -> Collection:
        """(n, length) tokens, 0 being padding, their labels, and the file of each as its group."""
        standard = options.root == STANDARD_LIBRARY
        root = Path(sysconfig.get_paths()["stdlib"]) if standard else folder_at(options.root, folder)
        paths = _paths(root, options)
        x: list[Array] = []
        y: list[str] = []
        group: list[str] = []
        for label, found in paths.items():
            tokens = [_windows(_tokens(path, root), options.length, options.stride) for path in found]
            for path, some in zip(found, _evenly(tokens, options.per_class), strict=True):
                x.append(some)
                y += [label] * len(some)
                group += [path.relative_to(root).as_posix()] * len(some)
        facts: dict[str, Any] = {"files": {label: len(found) for label, found in paths.items()}}
        if standard:
            facts["python"] = platform.python_version()
        examples = Examples(x=np.concatenate(x), y=np.array(y), group=np.array(group))
        description = f"{len(examples)} windows of {options.length} characters from {options.root}: {', '.join(paths)}"
        return Collection(examples, "tokens", description, vocabulary=VOCABULARY, facts=facts)


def _paths(root: Path, options: TextFileOptions) -> dict[str, list[Path]]:
    """The files of each label, sorted.

    Raises:
        DataError: A pattern matches nothing or leads out of the root, a file has two labels or is too large.
    """
    owner: dict[Path, str] = {}
    paths: dict[str, list[Path]] = {}
    for label, patterns in options.files.items():
        found: set[Path] = set()
        for pattern in patterns:
            if not pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
                raise DataError(f"{pattern!r}, a pattern of {label!r}, must name files below {options.root}.")
            files = {path for path in root.glob(pattern) if path.is_file() and _is_own(path, root, options)}
            if not files:
                raise DataError(f"no file below {options.root} matches {pattern!r}, a pattern of {label!r}.")
            found |= files
        for path in sorted(found):
            if owner.setdefault(path.resolve(), label) != label:
                raise DataError(f"{path.relative_to(root)} is both {owner[path.resolve()]!r} and {label!r}.")
            if not lies_within(path, root):
                raise DataError(f"{path.relative_to(root)} is a link that leads out of {options.root}.")
            if path.stat().st_size > LARGEST_FILE:
                raise DataError(f"{path.relative_to(root)} is larger than {LARGEST_FILE} bytes; cut it in pieces.")
        paths[label] = sorted({path.resolve(): path for path in sorted(found, reverse=True)}.values())
    return paths


def _is_own(path: Path, root: Path, options: TextFileOptions) -> bool:
    return options.root != STANDARD_LIBRARY or not FOREIGN & set(path.relative_to(root).parts)


def _tokens(path: Path, root: Path) -> Array:
    """The characters of a file as numbers: 0 is never among them."""
    content = path.read_bytes()
    if b"\0" in content:
        raise DataError(f"{path.relative_to(root)} holds NUL bytes; it is no text.")
    text = content.decode("utf-8", errors="replace").removeprefix("\ufeff").replace("\r\n", "\n")
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    table = np.full(128, VOCABULARY.index("<other>"), dtype=np.int32)
    table[[ord(letter) for letter in ALPHABET]] = np.arange(2, len(VOCABULARY))
    tokens: Array = table[np.minimum(codes, 127)]  # 127, a control character, is "other" itself
    return tokens


def _windows(tokens: Array, length: int, stride: int) -> Array:
    """(n, length); a shorter file gives one padded window, an empty one none."""
    if 0 < len(tokens) < length:
        return np.pad(tokens, (0, length - len(tokens)))[None]
    starts = np.arange(0, len(tokens) - length + 1, stride)
    windows: Array = tokens[starts[:, None] + np.arange(length)]
    return windows


def _evenly(windows: list[Array], most: int | None) -> list[Array]:
    """At most `most` windows of all: small files give all they have, large ones share the rest."""
    if most is None:
        return windows
    quota = np.zeros(len(windows), dtype=np.int64)
    sizes = np.array([len(some) for some in windows])
    while (left := most - int(quota.sum())) > 0 and (quota < sizes).any():
        open_ = np.flatnonzero(quota < sizes)
        if left < len(open_):
            quota[open_[:left]] += 1
        else:
            quota[open_] = np.minimum(sizes[open_], quota[open_] + left // len(open_))
    return [
        some[np.linspace(0, len(some) - 1, count).round().astype(int)]
        for some, count in zip(windows, quota, strict=True)
    ]


SOURCE = TextFile()

"""Files that are either whole or absent: written beside their place, synced, then renamed into it.

And, for files that grow: adding to one, and being the only process that does.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_with(path: Path, write: Callable[[Path], object], *, keep: Path | None = None) -> Path:
    """Make `path` by calling `write` on a temporary file in the same folder; on any error `path` stays as it was.

    The temporary name keeps the suffixes of `path`, since writers such as Keras look at them, and begins as `left_of`
    says.  What was at `path` is
    moved to `keep`, where that is given; a kill between the two moves leaves it there, and nothing at `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix="".join(path.suffixes[-2:]))
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path


def left_of(path: Path) -> tuple[Path, ...]:
    """What processes that were killed while they made `path` have left behind, or others are just writing."""
    return tuple(path.parent.glob(f"{_prefix(path)}*")) if path.parent.is_dir() else ()


def _prefix(path: Path) -> str:
    return f".tmp-{path.name.partition('.')[0]}-"


def write_bytes(path: Path, content: bytes, *, keep: Path | None = None) -> Path:
    """Make `path` hold `content`, or leave it as it was; see `write_with`."""
    return write_with(path, lambda temporary: temporary.write_bytes(content), keep=keep)


def write_text(path: Path, content: str) -> Path:
    """Make `path` hold `content` as UTF-8, or leave it as it was."""
    return write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> Path:
    """Make `path` hold `content` as indented JSON with sorted keys, or leave it as it was."""
    return write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def append(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Add `text` to the file, made with `mode` where there is none; it is on the disk when this returns.

    In one piece, so that what several processes add does not mix.

    Raises:
        OSError: It is not there, or not whole: a disk that is nearly full takes the beginning, and says nothing.
    """
    content = text.encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode)
    try:
        if os.write(handle, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only process inside; the system lets go of the lock file `path` when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

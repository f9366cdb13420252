"""Files and folders as one archive each, for sending to a team: named by what is in them, unpacked without trust.

An archive is a plain tar of names, contents and nothing else, in the order of names, so that equal contents have equal
digests whoever packs them, and what a team has got is not sent again.  Unpacking refuses (it does not skip) links,
devices, names that lead out, and more bytes or files than are allowed; Python's own extraction in 3.11 does not.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from searchlab.data.folders import make_folder
from searchlab.errors import DataError

MOST_BYTES = 200 * 2**30
"""Of one archive's contents."""

MOST_FILES = 5_000_000


@dataclass(frozen=True)
class Parcel:
    """An archive of one file or folder."""

    file: Path
    digest: str
    """sha256 of the archive."""
    name: str
    """The file's or folder's own."""
    size: int
    """Bytes of the archive."""


def pack(path: Path, into: Path) -> Parcel:
    """Pack the file or folder `path` into an archive in the folder `into`.

    Raises:
        DataError: There is none, or it holds a link that leads out of it, or what is no file.
    """
    if not path.exists():
        raise DataError(f"there is no {path}.")
    archive = into / "parcel.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for file in _files(path):
            entry = tarfile.TarInfo(file.relative_to(path.parent).as_posix())
            entry.size = file.stat().st_size
            with file.open("rb") as content:
                tar.addfile(entry, content)
    with archive.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    named = archive.rename(into / f"{digest}.tar")
    return Parcel(named, digest, path.name, named.stat().st_size)


def unpack(archive: Path, digest: str, store: Path, *, most_bytes: int = MOST_BYTES) -> Path:
    """The folder `store/digest` with what is in the archive, made where there is none.

    Raises:
        DataError: The archive is not what `digest` names, or holds what no parcel does.
    """
    with archive.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != digest:
            raise DataError(f"the archive that arrived is not the one that was sent ({digest[:12]}…).")
    folder = store / digest
    if not folder.exists():
        store.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_folder(folder, lambda fresh: _fill(archive, fresh, most_bytes))
    return folder


def _fill(archive: Path, folder: Path, most_bytes: int) -> None:
    count = total = 0
    try:
        with tarfile.open(archive, "r:") as tar:
            for entry in tar:
                count, total = count + 1, total + entry.size
                name = PurePosixPath(entry.name)
                if not entry.isreg():
                    raise DataError(f"{entry.name!r} in the archive is no file.")
                if name.is_absolute() or ".." in name.parts or not name.parts or "\0" in entry.name:
                    raise DataError(f"{entry.name!r} in the archive leads out of it.")
                if count > MOST_FILES or total > most_bytes:
                    raise DataError(f"the archive holds more than {MOST_FILES} files or {most_bytes} bytes.")
                target = folder.joinpath(*name.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(entry)
                assert content is not None
                with content, target.open("xb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)
    except (tarfile.TarError, FileExistsError, NotADirectoryError) as error:
        raise DataError(f"what arrived is no archive of files ({error}).") from error


def _files(path: Path) -> Iterator[Path]:
    """The file itself, or all files below the folder, in the order of their names."""
    if path.is_file():
        yield path
        return
    root = path.resolve()
    for file in sorted(path.rglob("*")):
        if file.is_dir():
            if file.is_symlink() and not file.resolve().is_relative_to(root):
                raise DataError(f"{file} is a link that leads out of {path}.")
            continue
        if not file.resolve().is_relative_to(root):
            raise DataError(f"{file} is a link that leads out of {path}.")
        if not file.is_file():
            raise DataError(f"{file} is neither a file nor a folder.")
        yield file

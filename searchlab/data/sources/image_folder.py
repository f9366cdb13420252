"""Images in a folder for each class, in train/validation/test folders of them, or named with their labels in a table.

photos/cat/1.jpg  photos/dog/1.jpg                      split as the study says
photos/train/cat/1.jpg  photos/test/cat/9.jpg           `by: given`
photos/1.jpg  labels.csv: file,label,split,group        `by: given` with `split_column`, `by: group` with `group_column`
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Array, Collection, Examples
from searchlab.data.sources import csv
from searchlab.data.sources._decoding import decode
from searchlab.data.sources._frame import MISSING
from searchlab.data.sources._paths import file_at, folder_at
from searchlab.data.sources._picture import Fit, pixels
from searchlab.data.sources._picture_files import Found, in_folders, in_table
from searchlab.errors import DataError

SHOWN = 20

log = logging.getLogger(__name__)


class ImageFolderOptions(options.Options):
    """Settings of the source `image_folder`."""

    path: str = options.on_disk()
    """The folder, counted from the study file's."""
    size: int | list[int]
    """Height and width that every image gets: one number for both, or [height, width]."""
    channels: Literal[1, 3] = 3
    """1: shades of grey; 3: colours."""
    fit: Fit = "stretch"
    """"stretch" to the size; "crop" what stands out; "pad" with black."""
    labels: str | None = options.on_disk(None)
    """A CSV file, counted from the study file's folder, that names images, counted from `path`, and their labels."""
    file_column: str = "file"
    """With `labels`: the column of the images' files."""
    label_column: str = "label"
    """With `labels`: the column that is learned."""
    split_column: str | None = None
    """With `labels`: the column that says train, validation or test (`by: given`)."""
    group_column: str | None = None
    """With `labels`: the column whose equal values never part: patient, scene, photographer (`by: group`)."""
    on_bad: Literal["fail", "quarantine"] = "fail"
    """Files that are no usable images: "fail" lists them all, "quarantine" leaves them out and says so."""
    max_bad: float = pydantic.Field(0.01, ge=0.0, lt=1.0)
    """With `on_bad: quarantine`: the share of all files that may be left out."""
    max_pixels: int = pydantic.Field(50_000_000, ge=1)
    """Larger image files are refused unread."""

    @pydantic.field_validator("size")
    @classmethod
    def _two_lengths(cls, size: int | list[int]) -> int | list[int]:
        lengths = [size, size] if isinstance(size, int) else size
        if len(lengths) != 2 or min(lengths) < 1:
            raise ValueError("a size is one number, or [height, width], each 1 or more")
        return size

    @pydantic.model_validator(mode="after")
    def _columns_need_a_table(self) -> ImageFolderOptions:
        if self.labels is None and any(name.endswith("_column") for name in self.model_fields_set):
            raise ValueError("columns need a table: name it with `labels`")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return height, width, self.channels


class ImageFolder:
    """The source `image_folder`."""

    Options: type[options.Options] = ImageFolderOptions

    def load(self, options: ImageFolderOptions, folder: Path) -> Collection:
        """(n, height, width, channels) uint8 and labels; bad files are listed all at once, or left out."""
        found = _found(options, folder)
        read = functools.partial(
            pixels,
            size=options.shape[:2],
            channels=options.channels,
            fit=options.fit,
            max_pixels=options.max_pixels,
        )
        x, wrong = decode(found.paths, options.shape, read)
        bad = {**found.bad, **{found.names[number]: words for number, words in wrong.items()}}
        _judge(options, bad, found.faults, whole=len(found.paths) + len(found.bad))
        rows = np.array([row for row in range(len(found.paths)) if row not in wrong], dtype=np.int64)
        examples = Examples(x=x, y=found.y[rows], group=_at(found.group, rows), fold=_at(found.fold, rows))
        kinds = len(np.unique(examples.y))
        note = f" (bad files left out: {len(bad)})" if bad else ""
        return Collection(
            examples,
            "images",
            f"{len(examples)} images of {kinds} classes in {options.path}{note}",
            names=tuple(found.names[row] for row in rows),
            facts={"left_out_files": dict(sorted(bad.items()))} if bad else {},
        )

    def fingerprint(self, options: ImageFolderOptions, folder: Path) -> str:
        """Of the names, sizes and times of all files: another one when a file was added, removed or written to."""
        found = _found(options, folder)
        digest = hashlib.sha256(json.dumps([found.bad, found.faults]).encode())
        if options.labels is not None:
            digest.update(file_at(options.labels, folder).read_bytes())
        for name, path in zip(found.names, found.paths, strict=True):
            about = path.stat()
            digest.update(json.dumps([name, about.st_size, about.st_mtime_ns, about.st_ctime_ns]).encode())
        return digest.hexdigest()


def _found(options: ImageFolderOptions, folder: Path) -> Found:
    root = folder_at(options.path, folder)
    if options.labels is None:
        found = in_folders(root)
        if not found.paths and not found.bad and not found.faults:
            raise DataError(f"{options.path} has no images in class folders (such as {options.path}/cat/1.jpg).")
        return found
    path = file_at(options.labels, folder)
    sheet = csv.sheet(options.labels, path, separator=",", encoding="utf-8", missing=MISSING)
    if not len(sheet.frame):
        raise DataError(f"{options.labels} has a header, but no rows.")
    return in_table(
        root,
        sheet,
        file=options.file_column,
        label=options.label_column,
        split=options.split_column,
        group=options.group_column,
    )


def _judge(options: ImageFolderOptions, bad: dict[str, str], faults: list[str], *, whole: int) -> None:
    """Refuse bad files, or tell of those that are left out."""
    if not bad and not faults:
        return
    lines = sorted([*faults, *(f"{name}: {words}" for name, words in bad.items())])
    more = f"\n  … and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    shown = "\n  " + "\n  ".join(lines[:SHOWN]) + more
    share = len(bad) / max(1, whole)
    if options.on_bad == "fail" or faults:
        remedy = "" if faults else "; or leave them out: `on_bad: quarantine`"
        raise DataError(
            f"{options.path} holds {len(lines)} files that are no usable images; remove or mend them{remedy}:{shown}"
        )
    if share > options.max_bad or len(bad) == whole:
        raise DataError(
            f"{len(bad)} of {whole} files in {options.path} are no usable images, which is {share:.2%} and more than "
            f"`max_bad: {options.max_bad:g}` allows; remove or mend them, or raise it:{shown}"
        )
    log.warning("%d of %d files in %s are no usable images and are left out:%s", len(bad), whole, options.path, shown)


def _at(array: Array | None, rows: Array) -> Array | None:
    return None if array is None else array[rows]


SOURCE = ImageFolder()

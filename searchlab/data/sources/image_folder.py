"""Images in a folder for each class, or in train/validation/test folders that hold a folder for each class.

photos/cat/1.jpg  photos/dog/1.jpg                      split as the study says
photos/train/cat/1.jpg  photos/test/cat/9.jpg           `by: given`
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Collection, Examples
from searchlab.data.sources._paths import folder_at, lies_within
from searchlab.data.sources._picture import Fit, pixels
from searchlab.errors import DataError

FOLDS = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation"}
FOLDS["test"] = "test"
"""Names of folders that are parts."""
SHOWN = 20


class ImageFolderOptions(options.Options):
    """Settings of the source `image_folder`."""

    path: str
    """The folder, counted from the study file's."""
    size: int | list[int]
    """Height and width that every image gets: one number for both, or [height, width]."""
    channels: Literal[1, 3] = 3
    """1: shades of grey; 3: colours."""
    fit: Fit = "stretch"
    """"stretch" to the size; "crop" what stands out; "pad" with black."""
    max_pixels: int = pydantic.Field(50_000_000, ge=1)
    """Larger image files are refused unread."""

    @pydantic.field_validator("size")
    @classmethod
    def _two_lengths(cls, size: int | list[int]) -> int | list[int]:
        lengths = [size, size] if isinstance(size, int) else size
        if len(lengths) != 2 or min(lengths) < 1:
            raise ValueError("a size is one number, or [height, width], each 1 or more")
        return size


class ImageFolder:
    """The source `image_folder`."""

    Options: type[options.Options] = ImageFolderOptions

    def load(self, options: ImageFolderOptions, folder: Path) -> Collection:
        """(n, height, width, channels) uint8 and the names of the class folders; bad files are listed all at once."""
        root = folder_at(options.path, folder)
        height, width = (options.size, options.size) if isinstance(options.size, int) else options.size
        found, bad = _files(root)
        if not found and not bad:
            raise DataError(f"{options.path} has no images in class folders (such as {options.path}/cat/1.jpg).")
        x = np.empty((len(found), height, width, options.channels), dtype=np.uint8)
        for number, (path, _, _) in enumerate(found):
            picture = pixels(
                path, size=(height, width), channels=options.channels, fit=options.fit, max_pixels=options.max_pixels
            )
            if isinstance(picture, str):
                bad.append(f"{path.relative_to(root)}: {picture}")
            else:
                x[number] = picture
        if bad:
            more = f"\n  … and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
            raise DataError(
                f"{options.path} holds {len(bad)} files that are no usable images; remove or mend them:\n  "
                + "\n  ".join(sorted(bad)[:SHOWN])
                + more
            )
        folds = [fold for _, _, fold in found]
        examples = Examples(
            x=x, y=np.array([label for _, label, _ in found]), fold=np.array(folds) if any(folds) else None
        )
        classes = len(set(examples.y.tolist()))
        return Collection(examples, "images", f"{len(x)} images of {classes} classes in {options.path}")


def _files(root: Path) -> tuple[list[tuple[Path, str, str]], list[str]]:
    """Each file with its class and part ("" where folders name none), in the order of names; and what is in the way."""
    tops = _folders(root)
    parts = [top for top in tops if top.name in FOLDS]
    bad: list[str] = [f"{top.name}: a class folder beside train and test" for top in tops if parts and top not in parts]
    classes = [(kind, FOLDS[part.name]) for part in parts for kind in _folders(part)] or [(top, "") for top in tops]
    loose = [file for place in [root, *parts] for file in _visible(place) if not file.is_dir()]
    bad += [f"{file.relative_to(root)}: it lies in no class folder" for file in loose]
    found = []
    for kind, fold in classes:
        for path in _walk(kind):
            if not lies_within(path, root):
                bad.append(f"{path.relative_to(root)}: a link that leads out of the folder")
            elif path.is_symlink() and path.is_dir():
                bad.append(f"{path.relative_to(root)}: a link to a folder")
            elif not path.is_file():
                bad.append(f"{path.relative_to(root)}: not a regular file")
            else:
                found.append((path, kind.name, fold))
    return found, bad


def _walk(folder: Path) -> list[Path]:
    """All that is no folder, below `folder`; links to folders are not followed but listed."""
    if folder.is_symlink():
        return [folder]
    files = []
    for path in _visible(folder):
        files += _walk(path) if path.is_dir() and not path.is_symlink() else [path]
    return files


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    """What lies in `folder`, sorted, without hidden files and what file managers leave behind."""
    return sorted(
        path for path in folder.iterdir() if path.name[0] != "." and path.name not in ("Thumbs.db", "desktop.ini")
    )


SOURCE = ImageFolder()

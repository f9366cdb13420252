"""Arrays in a NumPy .npz file, named in the study; pickled objects are refused."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Array, Collection, Examples
from searchlab.data.parts import PARTS
from searchlab.data.sources._paths import file_at
from searchlab.errors import DataError, nearest


class NpzOptions(options.Options):
    """Settings of the source `npz`."""

    path: str = options.on_disk()
    """The file, counted from the study file's folder."""
    x: str = "x"
    """The array of inputs; with given parts, of the training part."""
    y: str = "y"
    """The array of targets: whole numbers or words are labels, real numbers are quantities."""
    x_validation: str | None = None
    """The inputs of a validation part that the file holds apart."""
    y_validation: str | None = None
    """Its targets."""
    x_test: str | None = None
    """The inputs of a test part that the file holds apart."""
    y_test: str | None = None
    """Its targets."""
    fold: str | None = None
    """The array that says train, validation or test for each example."""
    group: str | None = None
    """The array whose equal values never part."""
    kind: Literal["images", "table", "series", "tokens"] | None = None
    """What x is; guessed where its dimensions leave no doubt: 4 images, 2 a table."""
    columns: list[str] = pydantic.Field(default_factory=list)
    """Names of the columns of a table or the features of a series."""

    @pydantic.model_validator(mode="after")
    def _parts_are_whole(self) -> NpzOptions:
        for x, y, part in (
            (self.x_validation, self.y_validation, "validation"),
            (self.x_test, self.y_test, "test"),
        ):
            if (x is None) != (y is None):
                raise ValueError(f"x_{part} and y_{part} come together")
        if self.x_validation is not None and self.x_test is None:
            raise ValueError("a given validation part needs a given test part: x_test and y_test")
        if self.x_test is not None and (self.fold is not None or self.group is not None):
            raise ValueError("parts that are held apart go without `fold` and `group`")
        return self


class Npz:
    """The source `npz`."""

    Options: type[options.Options] = NpzOptions

    def load(self, options: NpzOptions, folder: Path) -> Collection:
        """The arrays as they are; images without a channel axis get one."""
        path = file_at(options.path, folder)
        try:
            with np.load(path, allow_pickle=False) as file:
                if not isinstance(file, np.lib.npyio.NpzFile):
                    raise DataError(f"{options.path} holds one array without a name; write it with np.savez.")
                examples = _examples(options, file)
        except (OSError, ValueError, EOFError, MemoryError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(
                f"{options.path} cannot be read as .npz: {error} (arrays of Python objects are refused)."
            ) from error
        kind = options.kind or {4: "images", 2: "table"}.get(examples.x.ndim)
        if kind is None:
            raise DataError(
                f"{options.path}: {options.x!r} has shape {examples.x.shape}; say with `kind:` whether these are "
                "images (grey, without a channel axis), series (n, time, features) or something else."
            )
        if kind == "images" and examples.x.ndim == 3:
            examples = replace(examples, x=examples.x[..., None])
        wanted = {"images": 4, "table": 2, "series": 3, "tokens": 2}[kind]
        if examples.x.ndim != wanted:
            raise DataError(
                f"{options.path}: {kind} have {wanted} dimensions, but {options.x!r} has {examples.x.ndim}."
            )
        if options.columns and len(options.columns) != examples.x.shape[-1]:
            raise DataError(
                f"{options.path}: `columns` names {len(options.columns)}, but x has {examples.x.shape[-1]} of them."
            )
        columns = tuple(options.columns) or tuple(f"x{k}" for k in range(examples.x.shape[-1]))
        description = f"{len(examples)} examples of {options.path}, {kind} {examples.x.shape[1:]}"
        return Collection(examples, kind, description, columns if kind in ("table", "series") else ())

    def shape(self, options: NpzOptions, folder: Path) -> tuple[int, ...] | None:
        """See `Sized`; it stands in the first bytes of the array."""
        try:
            with zipfile.ZipFile(file_at(options.path, folder)) as file, file.open(f"{options.x}.npy") as member:
                version = np.lib.format.read_magic(member)
                read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                whole, _, _ = read[version](member)
        except (DataError, OSError, KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
            return None  # `load` says what is wrong with it
        return tuple(whole[1:])


def _examples(options: NpzOptions, file: np.lib.npyio.NpzFile) -> Examples:
    def array(name: str) -> Array:
        if name not in file.files:
            known = ", ".join(file.files)
            raise DataError(f"{options.path} has no array {name!r}.{nearest(name, file.files)} Arrays: {known}.")
        return file[name]

    def targets(name: str) -> Array:
        y = array(name)
        return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y

    named = [(options.x, options.y), (options.x_validation, options.y_validation), (options.x_test, options.y_test)]
    parts = {part: (array(x), targets(y)) for part, (x, y) in zip(PARTS, named, strict=True) if x and y}
    for part, (x, y) in parts.items():
        if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
            raise DataError(f"{options.path}: the {part} part has x of shape {x.shape}, but y of shape {y.shape}.")
    shapes = {part: x.shape[1:] for part, (x, _) in parts.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{options.path}: the examples of the parts differ in shape: {shapes}.")
    given = np.repeat(list(parts), [len(x) for x, _ in parts.values()]) if len(parts) > 1 else None
    return Examples(
        x=np.concatenate([x for x, _ in parts.values()]),
        y=np.concatenate([y for _, y in parts.values()]),
        group=array(options.group).astype(np.str_) if options.group else None,
        fold=array(options.fold).astype(np.str_) if options.fold else given,
    )


SOURCE = Npz()

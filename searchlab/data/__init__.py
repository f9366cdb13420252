"""Where examples come from, how they are split, and the seal on the test part.

A source gives `Examples` (everything it has); `prepare` splits them, cuts the test part off, stores both apart and
hands on `SearchSplits`: there is no field through which training code could name a test example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy.typing as npt

from searchlab.catalog import Catalog
from searchlab.options import Options

Array = npt.NDArray[Any]
E = TypeVar("E")


@dataclass(frozen=True)
class Examples:
    """`n` examples as they were found, before anything is fitted.

    Kinds of `x`: images (n, height, width, channels) uint8 or float; tables (n, columns) float with NaN for missing;
    series (n, time, features) float; tokens (n, time) integer, 0 is padding.
    """

    x: Array
    """Where it is large (`data/rows.py`), something that is sliced like an array and read from a file."""
    y: Array
    """(n,) labels as strings or whole numbers, or (n,) / (n, horizon) real targets."""
    categories: Array | None = None
    """(n, k) strings: the columns of a table that hold words."""
    group: Array | None = None
    """(n,) strings: examples of one group never part."""
    span: Array | None = None
    """(n, 2) whole numbers: first and last moment that an example looks at, its target included."""
    fold: Array | None = None
    """(n,) of "train", "validation", "test" where the data itself says so (a column, folders, a given test set)."""

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Array) -> Examples:
        """The examples at `rows`, in that order."""

        def cut(array: Array | None) -> Array | None:
            return None if array is None else array[rows]

        return replace(
            self,
            x=self.x[rows],
            y=self.y[rows],
            categories=cut(self.categories),
            group=cut(self.group),
            span=cut(self.span),
            fold=cut(self.fold),
        )


@dataclass(frozen=True)
class Collection:
    """What a source found: its examples, and what a reader should know about them."""

    examples: Examples
    kind: str
    """"images", "table", "series" or "tokens"."""
    description: str
    """One line for people: what, how many, from where."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a table or the features of a series."""
    category_columns: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    """For tokens: the word of each token, `vocabulary[0]` being the padding."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    """What messages call the examples, such as files; by their numbers where there are none."""


@dataclass(frozen=True)
class SearchSplits(Generic[E]):
    """What a trial may see."""

    train: E
    validation: E


class Source(Protocol):
    """A place that data comes from.  A file in `data/sources/` binds one to `SOURCE`."""

    Options: type[Options]
    """Its settings in the study file, beside `source:` and `split:`."""

    def load(self, options: Any, folder: Path) -> Collection:
        """Every example there is.  Relative paths in `options` count from `folder`, the study file's.

        Raises:
            DataError: Missing, unreadable or unusable; the message names the file (and row) and what would do.
        """


@runtime_checkable
class Recognized(Protocol):
    """A source that can tell cheaply whether its data are those of before; it has this beside what `Source` asks."""

    def fingerprint(self, options: Any, folder: Path) -> str:
        """Another one after any change of what `load` would read, found without reading all of it.

        Raises:
            DataError: As `load`.
        """


@runtime_checkable
class Sized(Protocol):
    """A source that can tell the form of an example before it is read; it has this beside what `Source` asks."""

    def shape(self, options: Any, folder: Path) -> tuple[int, ...] | None:
        """The shape of one x, found without reading the data; None where it cannot be told."""


class Split(Protocol):
    """A rule that parts examples in three.  A file in `data/splits/` binds one to `SPLIT`."""

    def part(
        self, examples: Examples, *, validation: float, test: float, seed: int, embargo: int
    ) -> tuple[Array, Array, Array]:
        """The rows of train, validation and test: disjoint, each in ascending order, none empty.

        Raises:
            DataError: No such split exists; the message has the counts and what would work.
        """


SOURCES: Catalog[Source] = Catalog("searchlab.data.sources", binds="SOURCE", kind="data source")
SPLITS: Catalog[Split] = Catalog("searchlab.data.splits", binds="SPLIT", kind="split rule")

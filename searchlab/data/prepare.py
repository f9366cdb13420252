"""Split once, store the search data and the test rows apart, and hand on a folder in which no test row lies.

    store/data/<digest>/     train.*.npy, validation.*.npy, meta.json, split.json    mapped by every child
    store/sealed/<digest>/   test.*.npy (0400), meta.json                            opened by `SealedTest` alone

The digest covers the training and validation rows, the rule and the row numbers of every part, but not what the test
rows hold: nothing under `store/data` depends on it, except how many examples of each class the test part has, which is
declared in `meta.json`, and who is in which part where copies are kept together (`data/copies.py`).
Preparing the same data again finds the folders, checks every byte and changes nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from searchlab.atomic import write_json, write_text
from searchlab.data import SPLITS, Array, Collection, Examples, SearchSplits
from searchlab.data.copies import Policy, clusters, count_copies, near_across, part_together, refuse_across
from searchlab.data.digest import arrays_of, canonical_examples, of_examples, of_values
from searchlab.data.fewer import fewer
from searchlab.data.folders import make_folder, read_examples, write_examples
from searchlab.data.marks import marks, shared
from searchlab.data.parts import PARTS, check_parts, count_labels, is_labels
from searchlab.data.rows import pieces, selection
from searchlab.errors import DataError
from searchlab.seeds import stream

log = logging.getLogger(__name__)

SEARCH = ("train", "validation")


@dataclass(frozen=True)
class Prepared:
    """Data that is split and stored; plain values throughout."""

    digest: str
    """sha256 of all that the search may see."""
    folder: str
    """The search data: what `load_search` takes."""
    sealed_folder: str
    """The test rows: what `SealedTest` takes."""
    kind: str
    description: str
    columns: tuple[str, ...]
    category_columns: tuple[str, ...]
    vocabulary_size: int
    shape: tuple[int, ...]
    """Of one example's `x`."""
    counts: Mapping[str, int]
    """Examples in "train", "validation" and "test"."""
    classes: Mapping[str, Mapping[str, int]]
    """Examples of each label in each part; empty for quantities."""
    left_out: int
    """Examples that belong to no part (embargo, a smaller training part)."""
    duplicates_across_parts: int
    """Validation examples that are equal to a training example.  Of the test part, only the seal tells."""
    near_duplicates_across_parts: int
    """Validation images that are copies of a training image, nearly so included, where these were looked for."""
    split: Mapping[str, Any]
    """Rule, shares, seed, embargo, shuffle_labels, and what else was asked for."""
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `from_json` makes an equal one."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return plain

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Prepared:
        """The one whose `to_json` gave `content`."""
        lists = {name: tuple(content[name]) for name in ("columns", "category_columns", "shape")}
        return cls(**{"near_duplicates_across_parts": 0, **content, **lists})  # it came later than the others


def prepare(
    collection: Collection,
    *,
    rule: str,
    validation: float,
    test: float,
    seed: int,
    store: Path,
    embargo: int = 0,
    shuffle_labels: bool = False,
    train_examples: int | None = None,
    duplicates: Policy = "warn",
) -> Prepared:
    """Split `collection` by `rule` and store both sides under `store`, or find them there.

    `shuffle_labels` permutes the targets by `seed` before the split: what is then above chance was memorised
    (Zhang et al. 2017, arXiv:1611.03530).  `train_examples` cuts the training part to so many (`data/fewer.py`).
    `duplicates` says what is done about copies in two parts (`data/copies.py`).

    Raises:
        DataError: No such split exists, or what is stored is not what was written.
        UnknownName: No split rule is called `rule`.
    """
    examples = _checked(collection)
    if shuffle_labels:
        examples = replace(examples, y=examples.y[stream(seed, "shuffle_labels").permutation(len(examples))])
    known = marks(examples)
    shares: dict[str, Any] = {"validation": validation, "test": test, "seed": seed, "embargo": embargo}
    looks_for_all = duplicates in ("fail", "together")
    cluster = clusters(replace(collection, examples=examples), known) if looks_for_all else np.arange(len(examples))
    if duplicates == "together":
        found = part_together(rule, examples, cluster, **shares)
    else:
        found = SPLITS.get(rule).part(examples, **shares)
    rows: dict[str, Array] = dict(zip(PARTS, found, strict=True))
    if train_examples is not None:
        rows["train"] = fewer(rows["train"], examples.y, train_examples, seed)
    check_parts(examples, rows)
    if duplicates == "fail":
        refuse_across(cluster, rows, collection.names)
    parts = {part: _part(examples, rows[part]) for part in PARTS}
    marked = {part: [known[row] for row in rows[part]] for part in PARTS}
    split: dict[str, Any] = {"rule": rule, **shares, "shuffle_labels": shuffle_labels}
    if train_examples is not None:  # absent otherwise: the digests of before stay as they were
        split["train_examples"] = train_examples
    if duplicates == "together":
        split["duplicates"] = duplicates
    numbers = {part: rows[part].tolist() for part in PARTS}
    digest = of_values(
        {
            "format": 1,
            "kind": collection.kind,
            "columns": list(collection.columns),
            "category_columns": list(collection.category_columns),
            "vocabulary": list(collection.vocabulary),
            "split": split,
            "rows": of_values(numbers),
            **{part: of_examples(parts[part]) for part in SEARCH},
        }
    )
    prepared = Prepared(
        digest=digest,
        folder=str(store / "data" / digest),
        sealed_folder=str(store / "sealed" / digest),
        kind=collection.kind,
        description=collection.description,
        columns=collection.columns,
        category_columns=collection.category_columns,
        vocabulary_size=len(collection.vocabulary),
        shape=tuple(examples.x.shape[1:]),
        counts={part: len(parts[part]) for part in PARTS},
        classes={part: count_labels(parts[part].y) for part in PARTS} if is_labels(examples.y) else {},
        left_out=len(examples) - sum(len(rows[part]) for part in PARTS),
        duplicates_across_parts=shared(marked["validation"], marked["train"]),
        near_duplicates_across_parts=near_across(examples, collection.kind, rows) if duplicates == "warn" else 0,
        split=split,
        facts={**collection.facts, **({"copies": count_copies(cluster)} if looks_for_all else {})},
    )
    if duplicates != "ignore":
        _warn_of_copies(prepared)
    of_search = shared(marked["test"], marked["train"] + marked["validation"])
    _seal(Path(prepared.sealed_folder), parts["test"], of_search)
    _store(Path(prepared.folder), prepared, collection, parts, numbers)
    return prepared


def load_search(folder: str | Path, *, check: bool = False) -> tuple[Collection, SearchSplits[Examples]]:
    """What training may see of prepared data, mapped from disk; `collection.examples` are the training examples.

    `check` compares every byte with the digests that were written.

    Raises:
        DataError: Nothing is prepared there, or it was damaged.
    """
    folder = Path(folder)
    meta = _read_meta(folder)
    train, validation = (read_examples(folder, part, meta["arrays"][part], check=check) for part in SEARCH)
    about = meta["prepared"]
    collection = Collection(
        examples=train,
        kind=about["kind"],
        description=about["description"],
        columns=tuple(about["columns"]),
        category_columns=tuple(about["category_columns"]),
        vocabulary=tuple(meta["vocabulary"]),
        facts=about["facts"],
    )
    return collection, SearchSplits(train, validation)


def load_prepared(folder: str | Path) -> Prepared:
    """The `Prepared` that `prepare` returned for `folder`, wherever its store lies now.

    Raises:
        DataError: Nothing is prepared there.
    """
    folder = Path(folder)
    about = _read_meta(folder)["prepared"]
    sealed = folder.parent.parent / "sealed" / folder.name
    return Prepared.from_json({**about, "folder": str(folder), "sealed_folder": str(sealed)})


def _warn_of_copies(prepared: Prepared) -> None:
    whole = prepared.counts["validation"]
    for count, words in (
        (prepared.duplicates_across_parts, "equal to a training example"),
        (prepared.near_duplicates_across_parts, "copies or near copies of a training example"),
    ):
        if count:
            log.warning(
                "%d of %d validation examples are %s; `data: {duplicates: together}` keeps copies in one part",
                count,
                whole,
                words,
            )


def _checked(collection: Collection) -> Examples:
    """The examples in canonical form, after the checks that hold for every source."""
    examples = canonical_examples(collection.examples)
    for name, array in arrays_of(examples).items():
        if array.ndim == 0 or len(array) != len(examples):
            raise DataError(f"{name} has shape {array.shape}, but there are {len(examples)} examples.")
    if not len(examples):
        raise DataError(f"the data has no examples ({collection.description}).")
    _refuse_where(_where(examples.y, _is_not_finite), "the target is not a finite number")
    if collection.kind == "table":
        _refuse_where(_where(examples.x, np.isinf), "x is infinite")
    else:
        _refuse_where(_where(examples.x, _is_not_finite), "x is not a finite number")
    if examples.group is not None and examples.group.dtype.kind == "U":
        _refuse_where(examples.group == "", "the group is empty")
    return examples


def _part(examples: Examples, rows: Array) -> Examples:
    """The canonical examples at `rows`; large inputs stay where they are until they are read."""
    others = replace(examples, x=np.empty((len(examples), 0)), fold=None).take(rows)
    return canonical_examples(replace(others, x=selection(examples.x, rows)))


def _where(array: Array, is_wrong: Callable[[Array], Array]) -> Array:
    """(n,) whether a row has anything that `is_wrong`; whole numbers and words never have."""
    if array.dtype.kind != "f":
        return np.zeros(len(array), dtype=bool)
    found = [is_wrong(piece).reshape(len(piece), -1).any(axis=1) for piece in pieces(array)]
    return np.concatenate(found)


def _is_not_finite(array: Array) -> Array:
    return ~np.isfinite(array)


def _refuse_where(wrong: Array, what: str, most: int = 10) -> None:
    """Raise a `DataError` that names the rows (counted from 0) that are `wrong`."""
    if wrong.any():
        rows = np.flatnonzero(wrong)
        more = f", … ({len(rows)} in all)" if len(rows) > most else ""
        raise DataError(f"{what} in these rows, counted from 0: {', '.join(map(str, rows[:most]))}{more}.")


def _seal(folder: Path, test: Examples, duplicates_of_search: int) -> None:
    """Put the test rows into `folder`, or see that those there are the same (by their digest, without reading them)."""
    digest = of_examples(test)

    def fill(fresh: Path) -> None:
        meta = {
            "digest": digest,
            "arrays": write_examples(fresh, "test", test),
            "duplicates_of_search": duplicates_of_search,
        }
        write_json(fresh / "meta.json", meta)
        for path in fresh.iterdir():
            path.chmod(0o400)

    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.parent.chmod(0o700)
        make_folder(folder, fill)
    sealed = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    if sealed["digest"] != digest:
        raise DataError(
            "the training and validation rows are those of before, but the test rows have changed since they were "
            f"sealed in {folder}. Restore the data; or, if the change is meant, prepare it into another store."
        )


def _store(
    folder: Path,
    prepared: Prepared,
    collection: Collection,
    parts: Mapping[str, Examples],
    numbers: Mapping[str, list[int]],
) -> None:
    def fill(fresh: Path) -> None:
        arrays = {part: write_examples(fresh, part, parts[part]) for part in SEARCH}
        about = {**prepared.to_json(), "folder": "", "sealed_folder": ""}
        write_text(
            fresh / "split.json", json.dumps({**prepared.split, "counts": prepared.counts, "rows": numbers}) + "\n"
        )
        write_json(
            fresh / "meta.json",
            {"format": 1, "prepared": about, "vocabulary": list(collection.vocabulary), "arrays": arrays},
        )

    if folder.exists():
        load_search(folder, check=True)
    else:
        make_folder(folder, fill)


def _read_meta(folder: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"no prepared data lies in {folder}; run the study from its YAML file again.") from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder / 'meta.json'} cannot be read ({error}); remove {folder} and prepare again."
        ) from error
    return meta

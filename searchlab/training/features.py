"""What a frozen body makes of the examples, computed once and shared by all trials, children and workers of a home.

A folder for each (body, its weights, inputs, data, precision, backend), a file for each part of the data.  While they
are made, each piece is a file of its own: processes share the work, and what was made before a kill is not made again.

Why on disk and not in memory alone: of a study's trials most share a body, and children come and go.  Why not for
bodies whose weights are drawn anew for each trial: nobody would ask twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from searchlab.atomic import write_with
from searchlab.data import Array, SearchSplits
from searchlab.models import Staged
from searchlab.records import Features
from searchlab.tasks import Arrays, Encoding, Problem
from searchlab.training import runtime
from searchlab.training.recipe import Recipe, precision

log = logging.getLogger(__name__)

FORMAT = 1

PIECE = 64 << 20
"""Bytes of inputs that become a file of their own, about."""

BATCH = 32
"""Images that go through the body at a time."""

KEPT = 4
"""Sets of features that a process keeps in memory, the least recently used goes first."""

WAIT = 0.2
"""Seconds between two looks for a piece that another process makes."""


class OnFeatures:
    """An encoding whose inputs are features; all else is that of the `encoding` behind it."""

    def __init__(self, encoding: Encoding, width: int, key: str) -> None:
        self._encoding = encoding
        self._key = key
        self.problem = Problem("vector", (width,), encoding.problem.units)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoding, name)

    def to_json(self) -> dict[str, Any]:
        """Which features; not for `Task.restore`."""
        return {**self._encoding.to_json(), "features": self._key}


class Store:
    """The features that this process has asked for."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, SearchSplits[Arrays]] = OrderedDict()

    def get(self, recipe: Recipe) -> SearchSplits[Arrays] | None:
        """The features for `recipe`'s trial where `make` has made them; None where they are not shared."""
        key = key_of(recipe)
        return None if key is None else self._held.get(key)

    def make(self, recipe: Recipe, splits: SearchSplits[Arrays]) -> Generator[None, None, SearchSplits[Arrays] | None]:
        """The same, made where they are not there yet; yields between pieces, a sign of life.

        Raises:
            MissingWeights: Those of the body.
            OSError: The disk is full.
        """
        key = key_of(recipe)
        if key is None:
            return None
        if key not in self._held:
            assert recipe.plan.features is not None
            folder = Path(recipe.plan.features.folder) / key
            folder.mkdir(parents=True, exist_ok=True)
            body = _Body(recipe)
            train = yield from _part(folder, "train", splits.train, body)
            validation = yield from _part(folder, "validation", splits.validation, body)
            self._held[key] = SearchSplits(train, validation)
            if len(self._held) > KEPT:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]


def key_of(recipe: Recipe) -> str | None:
    """Equal for trials that share features; None for those that do not."""
    place: Features | None = recipe.plan.features
    family = recipe.family
    if place is None or not isinstance(family, Staged) or recipe.is_augmented:
        return None
    name, file = family.body_name(recipe.family_options), family.body_file(recipe.family_options)
    if name is None:
        return None
    about = {
        "format": FORMAT,
        "body": name if file is None else name.replace(file, ""),
        "weights": None if file is None else _digest(file),
        "inputs": recipe.encoding.to_json(),
        "data": place.data,
        "precision": recipe.plan.precision,
        "backend": runtime.backend(),
        "versions": {name: held for name, held in runtime.versions().items() if name not in ("python", "searchlab")},
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


class _Body:
    """The body of a recipe, built when it is first needed."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._model: keras.Model | None = None

    def __call__(self, x: Array) -> Array:
        """(n, width) float32 features of encoded inputs (n, …)."""
        if self._model is None:
            family, recipe = self._recipe.family, self._recipe
            assert isinstance(family, Staged)
            with precision(recipe.plan.precision):
                self._model = family.body(recipe.encoding.problem, recipe.family_options, recipe.seed)
        return np.asarray(self._model.predict(x, batch_size=BATCH, verbose=0), np.float32)


def _part(folder: Path, part: str, arrays: Arrays, body: _Body) -> Generator[None, None, Arrays]:
    """The features of one part: read, or made piece by piece and then joined."""
    whole = folder / f"{part}.npy"
    if not whole.exists():
        pieces = list(_pieces(folder, part, arrays))
        while missing := [piece for piece in pieces if not piece[0].exists()]:
            is_busy = True
            for path, rows in missing:
                with _alone(path) as is_mine:
                    if is_mine and not path.exists() and not whole.exists():
                        log.info("features of %s examples %d to %d", part, rows.start, rows.stop - 1)
                        _write(path, body(arrays.x[rows]))
                        is_busy = False
                yield
            if whole.exists():
                break
            if is_busy:
                time.sleep(WAIT)
        if not whole.exists():
            _write(whole, np.concatenate([np.load(path) for path, _ in pieces]))
        for path in folder.glob(f"{part}-*"):
            path.unlink(missing_ok=True)
    return Arrays(np.load(whole), arrays.y)


def _pieces(folder: Path, part: str, arrays: Arrays) -> Iterator[tuple[Path, slice]]:
    count = max(1, PIECE // max(1, arrays.x[:1].nbytes) // BATCH) * BATCH
    for begin in range(0, len(arrays), count):
        end = min(begin + count, len(arrays))
        yield folder / f"{part}-{begin:09d}-{end:09d}.npy", slice(begin, end)


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether nobody else makes `path` now; inside, nobody does."""
    handle = os.open(_lock(path), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _is_locked(handle)
    finally:
        os.close(handle)


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock(path: Path) -> Path:
    return path.with_suffix(".lock")


def _write(path: Path, features: Array) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, features, allow_pickle=False)

    write_with(path, write)


_digests: dict[tuple[str, int, int], str] = {}


def _digest(path: str) -> str:
    """The SHA-256 of a file, read once as long as it stays as it is."""
    state = os.stat(path)
    key = (path, state.st_size, state.st_mtime_ns)
    if key not in _digests:
        with open(path, "rb") as file:
            _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[key]


STORE = Store()
"""This process's."""

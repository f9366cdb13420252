"""The tasks that all contenders train on, and their arrays, written once so that everyone reads the same rows.

Nothing is downloaded: scikit-learn's digits (also enlarged, and 10,000 pictures made of them) and the sources of
Python's standard library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Parts: TypeAlias = dict[str, NDArray[np.generic]]
"""`x_train`, `y_train`, `x_validation`, `y_validation`, `x_test`, `y_test`."""

PARTS = ("train", "validation", "test")
FILES = {label: [f"{label}/*.py"] for label in ("asyncio", "email", "unittest")}


@dataclass(frozen=True)
class Task:
    """What is learned, by which kind of network."""

    name: str
    title: str
    family: Literal["mlp", "cnn", "rnn"]
    kind: Literal["images", "tokens"]
    arrays: Callable[[], Parts]
    batch_size: int
    epochs: int
    """Of a trial, when the command line says nothing."""
    depth: int
    """Of the *value* space's network, as are `width` and `growth`."""
    width: int
    growth: float
    """What the width of each block of a CNN is multiplied by, once for every block before it."""
    target: float
    """The validation accuracy that `time_to_accuracy.py` waits for."""

    def write(self, folder: Path) -> Path:
        """The arrays' file in `folder`, made when it is not there."""
        path = folder / f"{self.name}.npz"
        if not path.exists():
            np.savez(path, **self.arrays())
        return path


def digits() -> Parts:
    """1,200 images of 8×8 pixels to train on, 300 to compare on, 297 left."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    x, y = found.images[order, ..., None].astype(np.uint8), found.target[order].astype(np.int32)
    return _named(dict(zip(PARTS, zip(np.split(x, [1200, 1500]), np.split(y, [1200, 1500]), strict=True), strict=True)))


def large_digits() -> Parts:
    """The same, each pixel four pixels wide and high: 32×32."""
    return {name: _enlarged(rows) if name.startswith("x") else rows for name, rows in digits().items()}


def many_digits() -> Parts:
    """10,000 images of 32×32 to train on, 2,000 to compare on: shifted by up to 4 pixels, with noise.

    Every image comes from a digit of its own part.
    """
    small = digits()
    random = np.random.default_rng(1)
    parts = {}
    for part, count in zip(PARTS, (10_000, 2_000, 200), strict=True):
        rows = random.integers(0, len(small[f"x_{part}"]), count)
        large = _enlarged(small[f"x_{part}"][rows]).astype(np.float32) * 15
        shifts = random.integers(-4, 5, (count, 2))
        moved = [np.roll(image, shift, axis=(0, 1)) for image, shift in zip(large, shifts, strict=True)]
        noisy = np.stack(moved) + random.normal(0, 16, large.shape)
        parts[part] = (np.clip(noisy, 0, 255).astype(np.uint8), small[f"y_{part}"][rows])
    return _named(parts)


def characters() -> Parts:
    """1,024 windows of 64 characters to train on, 256 to compare on; no file is on both sides.

    Characters are numbered from 1 as the training windows have them; others share the number after the last.
    """
    from searchlab.data import SOURCES, SPLITS

    source = SOURCES.get("text_file")
    options = source.Options(root="stdlib", files=FILES, length=64, stride=64, per_class=800)
    examples = source.load(options, Path()).examples
    found = SPLITS.get("group").part(examples, validation=0.2, test=0.1, seed=0, embargo=0)
    random = np.random.default_rng(2)
    rows = [random.permutation(part)[:most] for part, most in zip(found, (1024, 256, 64), strict=True)]
    known = np.unique(examples.x[rows[0]])
    known = known[known > 0]
    numbers = np.full(int(examples.x.max()) + 1, len(known) + 1, np.int32)
    numbers[0] = 0
    numbers[known] = np.arange(1, len(known) + 1)
    labels = np.unique(examples.y, return_inverse=True)[1].astype(np.int32)
    return _named({part: (numbers[examples.x[some]], labels[some]) for part, some in zip(PARTS, rows, strict=True)})


def _enlarged(images: NDArray[np.generic]) -> NDArray[np.generic]:
    return images.repeat(4, axis=1).repeat(4, axis=2)


def _named(parts: dict[str, tuple[NDArray[np.generic], NDArray[np.generic]]]) -> Parts:
    return {f"{letter}_{part}": rows for part, pair in parts.items() for letter, rows in zip("xy", pair, strict=True)}


TASKS = {
    task.name: task
    for task in (
        Task("digits_mlp", "digits, perceptron", "mlp", "images", digits, 32, 10, 2, 64, 1.0, 0.97),
        Task("digits_cnn", "digits, CNN 8×8", "cnn", "images", digits, 32, 10, 2, 32, 2.0, 0.985),
        Task("digits_cnn_32", "digits, CNN 32×32", "cnn", "images", large_digits, 32, 5, 3, 24, 2.0, 0.985),
        Task("char_lstm", "characters, LSTM", "rnn", "tokens", characters, 64, 5, 1, 64, 1.0, 0.5),
        Task("images_cnn", "10,000 images, CNN 32×32", "cnn", "images", many_digits, 64, 4, 3, 24, 2.0, 0.97),
    )
}

"""The sets that Keras fetches: mnist, fashion_mnist, cifar10, cifar100, imdb, reuters, with their own test parts.

Fetched once and kept in Keras's folder (`$KERAS_HOME`, else `~/.keras`), so a machine without a network needs the
files there.  The test part that a set comes with becomes the sealed one: use `by: given`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Array, Collection, Examples
from searchlab.errors import DataError
from searchlab.lazy import lazy

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

Name = Literal["mnist", "fashion_mnist", "cifar10", "cifar100", "imdb", "reuters"]
FILES: dict[str, str] = {
    "mnist": "mnist.npz",
    "fashion_mnist": "fashion-mnist/train-images-idx3-ubyte.gz, train-labels-…, t10k-images-… and t10k-labels-…",
    "cifar10": "cifar-10-python.tar.gz, renamed to cifar-10-batches-py-target_archive",
    "cifar100": "cifar-100-python.tar.gz, renamed to cifar-100-python-target_archive",
    "imdb": "imdb.npz and imdb_word_index.json",
    "reuters": "reuters.npz and reuters_word_index.json",
}
"""What must lie in Keras's folder of data sets."""

CLOTHES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MARKS = ("<pad>", "<start>", "<other>", "<unused>")
"""Tokens 0 to 3, as Keras counts; words follow, the most frequent first."""


class KerasDatasetOptions(options.Options):
    """Settings of the source `keras_dataset`."""

    name: Name
    """Which set."""
    num_words: int = pydantic.Field(10_000, ge=10)
    """For imdb and reuters: the size of the vocabulary, all rarer words being one."""
    max_length: int = pydantic.Field(200, ge=1)
    """For imdb and reuters: words kept of a text, the last ones; shorter texts are padded at the end."""


class KerasDataset:
    """The source `keras_dataset`."""

    Options: type[options.Options] = KerasDatasetOptions

    def load(self, options: KerasDatasetOptions, folder: Path) -> Collection:
        """Images uint8 (n, height, width, channels) or tokens (n, max_length), with `fold` "train" and "test".

        Raises:
            DataError: The set is neither in Keras's folder nor can it be fetched.
        """
        return _texts(options) if options.name in ("imdb", "reuters") else _images(options.name)


def _fetched(name: str, function: str, **settings: Any) -> Any:
    """What Keras's function gives, from its folder or from the network."""
    fetch = getattr(getattr(keras.datasets, name), function)
    try:
        return fetch(**settings)
    except Exception as error:  # without a network Keras raises a bare Exception
        home = Path(os.environ.get("KERAS_HOME", "~/.keras")) / "datasets"
        raise DataError(
            f"the Keras data set {name!r} is not on this machine and could not be fetched: {error}. "
            f"Put {FILES[name]} into {home}, or use a source that needs no network, such as digits."
        ) from error


def _images(name: str) -> Collection:
    (x_train, y_train), (x_test, y_test) = _fetched(name, "load_data")
    x, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    x = x[..., None] if x.ndim == 3 else x
    names = {"fashion_mnist": CLOTHES, "cifar10": THINGS}.get(name)
    labels = y.reshape(-1).astype(np.int64)
    examples = Examples(x=x, y=np.array(names)[labels] if names else labels, fold=_fold(x_train, x_test))
    return Collection(examples, "images", f"{name}: {len(x)} images of {x.shape[1]} × {x.shape[2]} pixels (Keras)")


def _texts(options: KerasDatasetOptions) -> Collection:
    (x_train, y_train), (x_test, y_test) = _fetched(options.name, "load_data", num_words=options.num_words)
    index = _fetched(options.name, "get_word_index")
    texts = [*x_train, *x_test]
    x = np.zeros((len(texts), options.max_length), dtype=np.int32)
    for row, text in zip(x, texts, strict=True):
        kept = text[-options.max_length :]
        row[: len(kept)] = kept
    words = sorted(index.items(), key=lambda item: int(item[1]))
    vocabulary = (*MARKS, *(str(word) for word, _ in words))[: options.num_words]
    y = np.concatenate([y_train, y_test]).astype(np.int64)
    labels = np.array(["negative", "positive"])[y] if options.name == "imdb" else y
    description = f"{options.name}: {len(x)} texts of up to {options.max_length} words (Keras)"
    return Collection(
        Examples(x=x, y=labels, fold=_fold(x_train, x_test)), "tokens", description, vocabulary=vocabulary
    )


def _fold(train: Array, test: Array) -> Array:
    return np.repeat(["train", "test"], [len(train), len(test)])


SOURCE = KerasDataset()

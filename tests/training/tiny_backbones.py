"""Two small models as `.keras` files, and families with options that need no network.  Not a test file."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import keras

from searchlab.models import FAMILIES, Staged


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="backbones-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def model(width: int, seed: int, size: int | None = None) -> keras.Model:
    """Pixels of one channel to three classes: two convolutions with batch normalization, dropout, a dense layer."""
    inputs = keras.Input((size, size, 1))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    for i, strides in enumerate((1, 2)):
        start = keras.initializers.HeNormal(seed=seed + i)
        x = keras.layers.Conv2D(width, 3, strides=strides, padding="same", kernel_initializer=start)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Activation("relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


def maps(width: int, seed: int) -> keras.Model:
    """Pixels of one channel to feature maps, through six convolutions."""
    inputs = x = keras.Input((None, None, 1))
    for i in range(6):
        start = keras.initializers.HeNormal(seed=seed + i)
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu", kernel_initializer=start)(x)
    return keras.Model(inputs, x)


@cache
def file_of(width: int = 12, seed: int = 1, size: int | None = None) -> str:
    """The path of a `model`."""
    path = _folder() / f"{width}-{seed}-{size}.keras"
    model(width, seed, size).save(path)
    return str(path)


@cache
def maps_of(width: int = 12, seed: int = 1) -> str:
    """The path of `maps`."""
    path = _folder() / f"maps-{width}-{seed}.keras"
    maps(width, seed).save(path)
    return str(path)


def fixed(family: str) -> dict[str, Any]:
    """What a family's options must have here, where its defaults would ask for a download."""
    return {"backbone": maps_of()} if isinstance(FAMILIES.get(family), Staged) else {}

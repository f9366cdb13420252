"""The Keras that this process runs: its backend, devices and versions."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import keras

_DISTRIBUTIONS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch", "openvino": "openvino"}


def backend() -> str:
    """The name of the Keras backend, such as "tensorflow"."""
    return str(keras.backend.backend())


def device_names() -> tuple[str, ...]:
    """The devices that Keras can use, as it names them ("gpu:0"); ("cpu:0",) where it cannot tell."""
    try:
        names = keras.distribution.list_devices()
    except (AttributeError, ImportError, RuntimeError, ValueError, NotImplementedError):
        return ("cpu:0",)
    return tuple(str(name).lower() for name in names) or ("cpu:0",)


@cache
def versions() -> dict[str, str]:
    """Of Python, searchlab and the libraries that decide the numbers of a training."""
    found = {"python": platform.python_version()}
    for name in ("searchlab", "keras", "numpy", _DISTRIBUTIONS.get(backend(), backend())):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # tensorflow-cpu and its like carry other names
            found[name] = "unknown"
    return found

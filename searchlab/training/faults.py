"""What a failure in a training means, in one line."""

from __future__ import annotations

import re

from searchlab.records import Cause

_MEMORY_NAMES = ("ResourceExhaustedError", "OutOfMemoryError", "MemoryError")
"""TensorFlow's, PyTorch's and Python's own; known by name, since no backend is imported here."""

_MEMORY_WORDS = ("RESOURCE_EXHAUSTED", "out of memory", "OOM when allocating")
"""JAX has one error for everything and says these words in it."""


_SIZE_WORDS = (
    "output size would be zero or negative",
    "Negative dimension size",
    "smaller than the corresponding spatial dimension",
    "expected a positive integer",
    "Expected a strictly positive value",
)
"""What Keras and its backends say of layers that no input of this size can pass."""


def cause(error: BaseException) -> Cause:
    """What kind of failure `error` is."""
    if is_out_of_memory(error):
        return "memory"
    is_of_size = isinstance(error, ValueError) and any(words in str(error) for words in _SIZE_WORDS)
    return "infeasible" if is_of_size else "error"


def reason(error: BaseException) -> str:
    """`error` in one line; "out of memory" whatever the backend calls that, "infeasible" for sizes that cannot be."""
    if is_out_of_memory(error):
        return "out of memory"
    words = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().partition("\n\n")[0].split())
    if cause(error) == "infeasible":
        return f"infeasible: {words}"
    words = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the host's or the device's memory was too small."""
    names = (kind.__name__ for kind in type(error).__mro__)
    return any(name in _MEMORY_NAMES for name in names) or any(words in str(error) for words in _MEMORY_WORDS)

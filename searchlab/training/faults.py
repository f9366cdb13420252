"""What a failure in a training means, in one line."""

from __future__ import annotations

import re

from searchlab.records import Cause

_MEMORY_NAMES = ("ResourceExhaustedError", "OutOfMemoryError", "MemoryError")
"""TensorFlow's, PyTorch's and Python's own; known by name, since no backend is imported here."""

_MEMORY_WORDS = re.compile(
    r"\b(MemoryError|bad_alloc|cannot allocate memory|out of memory|RESOURCE_EXHAUSTED|OOM)\b", re.IGNORECASE
)
"""What is said of too little memory: by JAX, which has one error for everything, and by processes that die of it."""

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
    if cause(error) == "infeasible":
        bare = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # Keras writes in bold
        first = bare.strip().split("\n\n")[0]
        return f"infeasible: {' '.join(first.split())}"
    words = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the host's or the device's memory was too small."""
    names = (kind.__name__ for kind in type(error).__mro__)
    return any(name in _MEMORY_NAMES for name in names) or says_out_of_memory(str(error))


def says_out_of_memory(text: str) -> bool:
    """Whether `text`, an error's or the end of a log, tells of too little memory."""
    return _MEMORY_WORDS.search(text) is not None

"""What a failure in a training means, in one line."""

from __future__ import annotations

_MEMORY_NAMES = ("ResourceExhaustedError", "OutOfMemoryError", "MemoryError")
"""TensorFlow's, PyTorch's and Python's own; known by name, since no backend is imported here."""

_MEMORY_WORDS = ("RESOURCE_EXHAUSTED", "out of memory", "OOM when allocating")
"""JAX has one error for everything and says these words in it."""


def reason(error: BaseException) -> str:
    """`error` in one line; "out of memory" whatever the backend calls that."""
    if is_out_of_memory(error):
        return "out of memory"
    words = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the host's or the device's memory was too small."""
    names = (kind.__name__ for kind in type(error).__mro__)
    return any(name in _MEMORY_NAMES for name in names) or any(words in str(error) for words in _MEMORY_WORDS)

"""What a failure in a training means, in one line."""

from __future__ import annotations

import re

from searchlab.errors import MissingWeights
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

_DEVICE_LOST = re.compile(
    r"\bXid\b|fallen off the bus|\bGPU is lost\b|ECC_UNCORRECTABLE|uncorrectable (NVLink|ECC) error"
    r"|CUDA_ERROR_(DEVICE_UNAVAILABLE|HARDWARE_STACK_ERROR|NVLINK_UNCORRECTABLE)",
    re.IGNORECASE,
)
"""What the driver says of a GPU that will train nothing any more.

Not CUDA_ERROR_NO_DEVICE and what cuInit says: TensorFlow says that wherever there is no GPU.
"""

_DEVICE_CONFUSED = re.compile(
    r"CUDA_ERROR_(ILLEGAL_ADDRESS|ILLEGAL_INSTRUCTION|MISALIGNED_ADDRESS|LAUNCH_FAILED|LAUNCH_TIMEOUT|ASSERT)"
    r"|illegal memory access was encountered|unspecified launch failure|misaligned address",
    re.IGNORECASE,
)
"""What CUDA says of a fault in a kernel.  The GPU is well, but this process can use it no more."""

_SENTENCE = re.compile(r"^[^.\n]*determinis[^.\n]*", re.IGNORECASE | re.MULTILINE)
_NODE = re.compile(r"(?:Node: '|\{\{node |Detected at node ['\"]?)([^'\"}\s]+)")


def cause(error: BaseException) -> Cause:
    """What kind of failure `error` is."""
    if is_out_of_memory(error):
        return "memory"
    if says_device_lost(str(error)):
        return "device"
    if isinstance(error, MissingWeights):
        return "missing"
    if _DEVICE_CONFUSED.search(str(error)):
        return "lost"
    is_of_size = isinstance(error, ValueError) and any(words in str(error) for words in _SIZE_WORDS)
    return "infeasible" if is_of_size else "error"


def reason(error: BaseException) -> str:
    """`error` in one line; "out of memory" whatever the backend calls that, "infeasible" for sizes that cannot be.

    What a GPU cannot do in the same way every time comes with the choices that there are.
    """
    if is_out_of_memory(error):
        return "out of memory"
    if _is_not_deterministic(error):
        return _without_determinism(str(error))
    if cause(error) == "infeasible":
        bare = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # Keras writes in bold
        first = bare.strip().split("\n\n")[0]
        return f"infeasible: {' '.join(first.split())}"
    words = str(error).strip().partition("\n")[0]
    if isinstance(error, MissingWeights):
        return words
    plain = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return f"the GPU is lost: {plain}" if says_device_lost(str(error)) else plain


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the host's or the device's memory was too small."""
    names = (kind.__name__ for kind in type(error).__mro__)
    return any(name in _MEMORY_NAMES for name in names) or says_out_of_memory(str(error))


def says_device_lost(text: str) -> bool:
    """Whether `text`, an error's or the end of a log, tells of a GPU that is gone."""
    return _DEVICE_LOST.search(text) is not None


def _is_not_deterministic(error: BaseException) -> bool:
    """Whether a kernel was asked for that gives the same numbers every time, and there is none (TensorFlow, XLA)."""
    is_unimplemented = type(error).__name__ == "UnimplementedError" or "UNIMPLEMENTED" in str(error)
    return is_unimplemented and _SENTENCE.search(str(error)) is not None


def _without_determinism(words: str) -> str:
    """The same line for every trial with such a layer, so that five of them in a row pause the study."""
    node, sentence = _NODE.search(words), _SENTENCE.search(words)
    layer = f" (in {node[1]})" if node is not None else ""
    assert sentence is not None
    return (
        f"{sentence[0].strip()}{layer}: allow it other numbers every time, training: {{deterministic: false}}, or "
        "leave what needs it out of the space; on a CPU, execution: {gpus: 0}, there is one"
    )


def says_out_of_memory(text: str) -> bool:
    """Whether `text`, an error's or the end of a log, tells of too little memory."""
    return _MEMORY_WORDS.search(text) is not None

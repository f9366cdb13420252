"""Failures in words; each backend's own error for a full memory is known without importing the backend."""

from __future__ import annotations

import pytest

from searchlab.training import faults


class ResourceExhaustedError(Exception):
    """As TensorFlow names it."""


class OutOfMemoryError(RuntimeError):
    """As PyTorch names it."""


class Particular(OutOfMemoryError):
    """A subclass."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 TiB"),
        ResourceExhaustedError("OOM when allocating tensor with shape[1,2]"),
        OutOfMemoryError("CUDA out of memory."),
        Particular("x"),
        RuntimeError("RESOURCE_EXHAUSTED: Failed to allocate request for 1.00GiB"),
    ],
)
def test_a_full_memory_has_one_name(error: Exception) -> None:
    assert faults.reason(error) == "out of memory"


def test_any_other_error_keeps_its_type_and_first_line() -> None:
    assert faults.reason(ValueError("bad shape\nlong explanation")) == "ValueError: bad shape"
    assert faults.reason(ZeroDivisionError()) == "ZeroDivisionError"

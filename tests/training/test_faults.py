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


class InternalError(Exception):
    """As TensorFlow names what a driver says."""


class UnimplementedError(Exception):
    """As TensorFlow names a kernel that is not there."""


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered",
        "INTERNAL: Xid 79: GPU has fallen off the bus",
        "failed to query event: CUDA_ERROR_DEVICE_UNAVAILABLE: CUDA-capable device(s) is/are busy or unavailable",
    ],
)
def test_a_gpu_that_is_lost_is_no_fault_of_the_trial(words: str) -> None:
    """E6."""
    assert faults.cause(InternalError(words)) == "device"
    assert faults.reason(InternalError(words)) == f"the GPU is lost: InternalError: {words}"


@pytest.mark.parametrize(
    "words",
    [
        "failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",  # wherever there is none
        "Xidal is no word",
    ],
)
def test_a_machine_without_a_gpu_has_lost_none(words: str) -> None:
    """E6."""
    assert faults.cause(InternalError(words)) == "error" and not faults.says_device_lost(words)


def test_a_fault_in_a_kernel_costs_the_process() -> None:
    """E6."""
    error = InternalError("Failed to synchronize: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered")
    assert faults.cause(error) == "lost"


NODE = """Graph execution error:

Detected at node gradient_tape/cnn/pool_2/MaxPoolGradWithArgmax defined at (most recent call last):
Determinism is not yet supported for MaxPoolGradWithArgmax.
\t [[{{node gradient_tape/cnn/pool_2/MaxPoolGradWithArgmax}}]] [Op:__inference_one_step_on_data_1]"""


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        (
            UnimplementedError("Determinism is not yet supported in GPU implementation of Bincount."),
            "Determinism is not yet supported in GPU implementation of Bincount: ",
        ),
        (
            UnimplementedError(NODE),
            "Determinism is not yet supported for MaxPoolGradWithArgmax "
            "(in gradient_tape/cnn/pool_2/MaxPoolGradWithArgmax): ",
        ),
        (
            RuntimeError("UNIMPLEMENTED: HLO instruction %s does not have a deterministic implementation, but it must"),
            "UNIMPLEMENTED: HLO instruction %s does not have a deterministic implementation, but it must: ",
        ),
    ],
)
def test_a_kernel_that_gives_other_numbers_every_time_comes_with_the_choices(error: Exception, begins: str) -> None:
    """E8."""
    reason = faults.reason(error)
    assert reason.startswith(begins) and "\n" not in reason
    assert "training: {deterministic: false}" in reason and "execution: {gpus: 0}" in reason
    assert faults.cause(error) == "error"


def test_another_kernel_that_is_not_there_is_told_as_it_is() -> None:
    """E8."""
    assert faults.reason(UnimplementedError("Cast string to float is not supported")).startswith("UnimplementedError: ")


def test_any_other_error_keeps_its_type_and_first_line() -> None:
    assert faults.reason(ValueError("bad shape\nlong explanation")) == "ValueError: bad shape"
    assert faults.reason(ZeroDivisionError()) == "ZeroDivisionError"

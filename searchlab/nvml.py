"""What the driver tells of one NVIDIA GPU: its name, how busy it is, who holds its memory, what it has used.

The one door to NVML.  Every question has None for an answer where this GPU, this driver or this container does not
know it (a part of a GPU has no utilisation, a container may not see processes): what is measured beside a training
must never be what ends it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from searchlab.lazy import lazy

if TYPE_CHECKING:
    import pynvml
else:
    pynvml = lazy("pynvml")

T = TypeVar("T")


class Gpu:
    """A GPU that the driver knows."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def name(self) -> str | None:
        """Such as "NVIDIA H100 80GB HBM3"."""
        name = _answer(lambda: pynvml.nvmlDeviceGetName(self._handle))
        return name.decode() if isinstance(name, bytes) else name

    def utilization(self) -> float | None:
        """The share of the last moment (up to a second) in which a kernel ran, whoever's; in [0, 1]."""
        percent = _answer(lambda: pynvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
        return None if percent is None else percent / 100

    def memory_of(self, process: int) -> int | None:
        """Bytes that `process` holds; all that are taken, where the driver does not tell processes apart."""
        running = _answer(lambda: pynvml.nvmlDeviceGetComputeRunningProcesses(self._handle)) or ()
        for one in running:
            if one.pid == process and one.usedGpuMemory is not None:
                return int(one.usedGpuMemory)
        used = _answer(lambda: pynvml.nvmlDeviceGetMemoryInfo(self._handle).used)
        return None if used is None else int(used)

    def energy(self) -> float | None:
        """Joules since the driver was loaded."""
        millijoules = _answer(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        return None if millijoules is None else millijoules / 1000

    def power(self) -> float | None:
        """Watts, now."""
        milliwatts = _answer(lambda: pynvml.nvmlDeviceGetPowerUsage(self._handle))
        return None if milliwatts is None else milliwatts / 1000


def gpu(visible: str | None) -> Gpu | None:
    """The first GPU that a process with this CUDA_VISIBLE_DEVICES may use; None where none is named or known.

    Numbers are those of the PCI bus (CUDA_DEVICE_ORDER), as in nvidia-smi.
    """
    name = (visible or "").partition(",")[0].strip()
    if not (name.isdigit() or name.startswith(("GPU-", "MIG-"))):
        return None
    with contextlib.suppress(ImportError):
        _answer(lambda: pynvml.nvmlInit())
        find = pynvml.nvmlDeviceGetHandleByIndex if name.isdigit() else pynvml.nvmlDeviceGetHandleByUUID
        handle = _answer(lambda: find(int(name) if name.isdigit() else name))
        return None if handle is None else Gpu(handle)
    return None


def _answer(ask: Callable[[], T]) -> T | None:
    """What NVML answers; None where it knows no answer."""
    try:
        return ask()
    except pynvml.NVMLError:
        return None

"""A stand-in for NVML's Python module, for tests on machines without a GPU.  Not a test file."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

MIB = 1 << 20


class NVMLError(Exception):
    """As the real one's errors."""


def gone(*arguments: Any) -> Any:
    """A question that this GPU does not answer."""
    raise NVMLError("Not Supported")


@dataclass
class FakeNvml:
    """The functions that are asked, under their own names."""

    gpus: int = 1
    busy: int = 60
    """Percent."""
    watts: float = 200.0
    joules: float = 1000.0
    used: int = 6000 * MIB
    processes: dict[int, int] = field(default_factory=dict)
    asked: list[int | str] = field(default_factory=list)
    NVMLError: type[Exception] = NVMLError

    @classmethod
    def install(cls, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> FakeNvml:
        """Be what `import pynvml` gives, until the test ends."""
        fake = cls(**settings)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index >= self.gpus:
            raise NVMLError("Invalid Argument")
        self.asked.append(index)
        return index

    def nvmlDeviceGetHandleByUUID(self, name: str) -> str:
        self.asked.append(name)
        return name

    def nvmlDeviceGetName(self, handle: Any) -> str:
        return "Fake GPU"

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any:
        return SimpleNamespace(gpu=self.busy, memory=0)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> list[Any]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in self.processes.items()]

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any:
        return SimpleNamespace(used=self.used)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:
        return round(self.joules * 1000)

    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int:
        return round(self.watts * 1000)

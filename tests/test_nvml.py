"""What the driver tells of a GPU, and that nothing is asked where there is none."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest
from fake_nvml import MIB, FakeNvml, gone

from searchlab import devices, nvml


def test_a_gpu_is_found_by_its_number_or_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml.install(monkeypatch, gpus=2)
    for visible, asked in (("1", 1), ("0,1", 0), ("GPU-8a1f", "GPU-8a1f"), ("MIG-77", "MIG-77")):
        found = nvml.gpu(visible)
        assert found is not None and fake.asked[-1] == asked
        assert found.name() == "Fake GPU"


@pytest.mark.parametrize("visible", [None, "", "-1", "NoDevFiles", "7"])
def test_no_gpu_is_found_where_none_is_named_or_none_is_there(
    visible: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeNvml.install(monkeypatch, gpus=2)
    assert nvml.gpu(visible) is None


def test_nothing_is_loaded_for_a_process_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml.gpu("-1") is None
    assert nvml.gpu("0") is None  # the library is not installed


def test_memory_is_that_of_the_process_or_of_all_where_processes_cannot_be_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeNvml.install(monkeypatch, gpus=1)
    gpu = nvml.gpu("0")
    assert gpu is not None
    fake.processes = {os.getpid(): 300 * MIB, 1: 5000 * MIB}
    assert gpu.memory_of(os.getpid()) == 300 * MIB
    fake.processes = {1: 5000 * MIB}  # a container has numbers of its own
    assert gpu.memory_of(os.getpid()) == fake.used


def test_what_a_gpu_does_not_know_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml.install(monkeypatch, gpus=1)
    gpu = nvml.gpu("0")
    assert gpu is not None
    for name in ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"):
        monkeypatch.setattr(fake, name, gone)
    assert (gpu.utilization(), gpu.energy(), gpu.power()) == (None, None, None)


@pytest.mark.skipif(
    not devices.gpus() or importlib.util.find_spec("pynvml") is None, reason="no GPU, or nvidia-ml-py is not installed"
)
def test_a_real_gpu_tells_of_itself() -> None:
    gpu = nvml.gpu(devices.gpus()[0])
    assert gpu is not None and gpu.name()
    assert gpu.memory_of(os.getpid()) is not None and (gpu.energy() or gpu.power())

"""What a trial takes of its GPU: measured while it trains, stored with it, shown wherever trials are."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from fake_nvml import MIB, FakeNvml, gone

from searchlab import nvml
from searchlab.nvml import Gpu
from searchlab.records import Cohort, GpuUse, Trial, TrialResult
from searchlab.runner.child import _serve
from searchlab.runner.spool import Spool
from searchlab.runner.telemetry import Meter, own_gpu, watched
from searchlab.search import encoding
from searchlab.space import Params

TRIALS = tuple(Trial(number, Params({"model": "mlp"}), seed=number) for number in range(2))
RESULT = TrialResult(0, "complete", 0.5, seconds=3.0)
USE = GpuUse("Fake GPU", utilization=0.5, memory=300 * MIB, energy=2.0)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    return FakeNvml.install(monkeypatch, gpus=1, processes={os.getpid(): 100 * MIB})


def gpu_of(name: str = "0") -> Gpu:
    found = nvml.gpu(name)
    assert found is not None
    return found


def test_a_result_comes_with_the_name_the_mean_the_peak_and_the_energy(fake: FakeNvml) -> None:
    meter = Meter(gpu_of())
    for busy, held in ((20, 400), (100, 50)):
        fake.busy, fake.processes[os.getpid()] = busy, held * MIB
        meter.look()
    fake.busy, fake.joules = 60, 1000.0 + 7200.0
    assert meter.read() == GpuUse("Fake GPU", utilization=pytest.approx(0.6), memory=400 * MIB, energy=2.0)


def test_energy_is_added_up_from_power_where_the_gpu_does_not_count_it(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "nvmlDeviceGetTotalEnergyConsumption", gone)
    clock = iter((0.0, 1800.0, 3600.0))
    meter = Meter(gpu_of(), now=lambda: next(clock))
    fake.watts = 400.0
    meter.look()
    assert meter.read().energy == pytest.approx(150.0 + 200.0)


def test_a_gpu_that_tells_nothing_leaves_its_name(fake: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in dir(fake):
        if name.startswith("nvmlDeviceGet") and name != "nvmlDeviceGetName":
            monkeypatch.setattr(fake, name, gone)
    handle = Gpu(0)
    assert Meter(handle).read() == GpuUse("Fake GPU")


def test_trials_that_are_trained_together_share_the_energy(fake: FakeNvml) -> None:
    with watched(Cohort(TRIALS), gpu_of()) as complete:
        fake.joules += 7200.0
        assert "searchlab-gpu" in {thread.name for thread in threading.enumerate()}
        results = [complete(replace(RESULT, trial=number)) for number in (0, 1)]
    assert [result.gpu.energy for result in results if result.gpu is not None] == [1.0, 1.0]
    assert "searchlab-gpu" not in {thread.name for thread in threading.enumerate()}


def test_without_a_gpu_there_is_no_thread_and_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert own_gpu() is None
    before = threading.active_count()
    with watched(Cohort(TRIALS), None) as complete:
        assert threading.active_count() == before
        assert complete(RESULT) is RESULT


def test_results_of_older_versions_and_those_with_figures_are_read_again(tmp_path: Path) -> None:
    with_figures = replace(RESULT, gpu=USE)
    content = encoding.result_to_json(with_figures)
    assert encoding.result_from_json(content) == with_figures
    older = encoding.result_to_json(RESULT)
    assert "gpu" not in older  # which an older helper of the study could not read
    assert encoding.result_from_json(older) == RESULT
    spool = Spool(tmp_path)
    spool.put(RESULT)
    spool.put(with_figures)
    assert [kept.result for kept in spool.kept()] == [RESULT, with_figures]


def test_a_child_completes_every_result_that_it_passes_on(fake: FakeNvml) -> None:
    sent: list[Any] = []
    channel = SimpleNamespace(send=sent.append, has_mail=lambda: False)
    with watched(Cohort(TRIALS), gpu_of()) as complete:
        is_leaving = _serve(channel, (one for one in [RESULT, RESULT]), prunes=False, complete=complete)
    assert not is_leaving
    assert [result.gpu.name for result in sent] == ["Fake GPU", "Fake GPU"]

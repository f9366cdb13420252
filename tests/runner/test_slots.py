"""How a machine is divided, on machines of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchlab import devices
from searchlab.errors import DeviceMissing
from searchlab.runner.slots import slots

GIB = 1 << 30


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretends a machine with so many cores, GiB and GPUs."""

    def pretend(cores: int, memory: int, gpus: tuple[str, ...] = ()) -> None:
        monkeypatch.setattr(devices, "cores", lambda: cores)
        monkeypatch.setattr(devices, "memory", lambda: memory * GIB)
        monkeypatch.setattr(devices, "gpus", lambda: gpus)

    return pretend


def test_a_processor_gets_one_single_threaded_child_for_each_core(machine) -> None:
    machine(8, 64)
    places = slots()
    assert [place.number for place in places] == list(range(8))
    for place in places:
        assert place.environment["CUDA_VISIBLE_DEVICES"] == "-1"
        assert place.environment["OMP_NUM_THREADS"] == place.environment["TF_NUM_INTRAOP_THREADS"] == "1"
        assert "KERAS_BACKEND" not in place.environment


def test_memory_limits_the_children_that_nobody_counted(machine) -> None:
    machine(64, 4)
    assert len(slots()) == 4
    assert len(slots(workers=10)) == 10
    machine(2, 0)
    assert len(slots()) == 1


def test_cores_are_divided_between_the_workers(machine) -> None:
    machine(8, 64)
    assert {place.environment["OMP_NUM_THREADS"] for place in slots(workers=3)} == {"2"}
    assert {place.environment["OMP_NUM_THREADS"] for place in slots(workers=20)} == {"1"}
    assert {place.environment["OMP_NUM_THREADS"] for place in slots(workers=2, threads=3)} == {"3"}


def test_every_gpu_gets_a_child_and_more_children_share_them(machine) -> None:
    machine(8, 64, ("0", "3"))
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in slots()] == ["0", "3"]
    assert {place.environment["OMP_NUM_THREADS"] for place in slots()} == {"4"}
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in slots(workers=3)] == ["0", "3", "0"]
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in slots(gpus=1)] == ["0"]
    assert {place.environment["CUDA_VISIBLE_DEVICES"] for place in slots(workers=2, gpus=0)} == {"-1"}


def test_a_gpu_that_is_not_there_is_missed_at_once(machine) -> None:
    machine(8, 64, ("0",))
    with pytest.raises(DeviceMissing, match=r"2 GPU\(s\) are asked for, but 1 can be seen \(0\)"):
        slots(gpus=2)


@pytest.mark.parametrize(
    ("named", "seen"),
    [
        (None, ("0", "1", "2")),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("2,0", ("2", "0")),
        ("1,-1,0", ("1",)),
        ("1, 2", ("1", "2")),
        ("0,0", ("0",)),
        ("7", ()),
        ("GPU-8a1f,MIG-77", ("GPU-8a1f", "MIG-77")),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(
    named: str | None, seen: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_installed", lambda: ("0", "1", "2"))
    environment = {} if named is None else {"CUDA_VISIBLE_DEVICES": named}
    assert devices.gpus(environment) == seen


def test_a_named_device_counts_for_nothing_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_installed", lambda: ())
    assert devices.gpus({"CUDA_VISIBLE_DEVICES": "0"}) == ()


def test_the_driver_s_own_tool_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 0\necho 1\n", encoding="ascii")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.gpus({}) == ("0", "1")


def test_this_machine_has_something() -> None:
    assert devices.cores() >= 1
    assert devices.memory() > GIB // 4


def test_gpu_kernels_are_asked_for_the_same_numbers_unless_told_otherwise(machine) -> None:
    machine(8, 64, ("0",))
    assert slots()[0].environment["TF_DETERMINISTIC_OPS"] == "1"
    assert "TF_DETERMINISTIC_OPS" not in slots(deterministic=False)[0].environment
    assert "TF_DETERMINISTIC_OPS" not in slots(gpus=0)[0].environment

"""How a machine is divided, on machines of every kind."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from searchlab import devices
from searchlab.errors import DeviceMissing, SpecError
from searchlab.executors import Node
from searchlab.runner.check import check
from searchlab.runner.slots import CHILD_MEMORY, sharing, slots, spread
from searchlab.spec.load import load_text

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


def test_trials_are_packed_on_every_gpu(machine) -> None:
    machine(8, 64, ("0", "3"))
    places = slots(per_gpu=3)
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in places] == ["0", "3"] * 3
    assert {place.environment["OMP_NUM_THREADS"] for place in places} == {"1"}
    assert {place.environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] for place in places} == {"0.300"}
    assert {place.environment["TF_FORCE_GPU_ALLOW_GROWTH"] for place in places} == {"true"}
    assert {place.environment["XLA_PYTHON_CLIENT_PREALLOCATE"] for place in places} == {"false"}
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in slots()[0].environment
    shares = [place.environment.get("XLA_PYTHON_CLIENT_MEM_FRACTION") for place in slots(workers=3)]
    assert shares == ["0.450", None, "0.450"]
    assert len(slots(workers=4, per_gpu=3)) == 4 and len(slots(gpus=1, per_gpu=3)) == 3


def test_a_share_of_memory_that_somebody_has_named_stays(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(8, 64, ("0",))
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.2")
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in slots(per_gpu=2)[0].environment


def test_a_machine_without_a_gpu_packs_nothing(machine) -> None:
    machine(8, 64)
    assert slots(per_gpu=3) == slots() and slots(workers=2, per_gpu=1) == slots(workers=2)


def test_more_workers_than_the_gpus_take_are_refused(machine) -> None:
    machine(8, 64, ("0", "3"))
    with pytest.raises(DeviceMissing, match=r"7 workers are asked for, but 2 GPU\(s\) with 3 trial\(s\) each take 6"):
        slots(workers=7, per_gpu=3)
    with pytest.raises(DeviceMissing, match=r"5 workers are asked for, but 2 GPU\(s\) with 2 trial\(s\) each take 4"):
        spread([node(8, 2)], workers=5, per_gpu=2)


@pytest.mark.parametrize(
    ("execution", "message"),
    [
        ("{gpus: 0, trials_per_gpu: 2}", r":6:\d+: trials_per_gpu is 2, but gpus: 0 asks for none"),
        ("{gpus: 1, trials_per_gpu: 2, workers: 3}", r":6:\d+: 3 workers are more than 1 GPU\(s\) with 2 trial\(s\)"),
    ],
)
def test_what_cannot_be_packed_on_any_machine_is_a_fault_of_the_file(execution: str, message: str) -> None:
    content = f"""
study: s
data: {{source: digits}}
task: image_classification
space: {{model: mlp}}
execution: {execution}
"""
    with pytest.raises(SpecError, match=message):
        check(load_text(content, file="s.yaml"))


def test_it_is_known_whose_gpu_has_others_too(machine) -> None:
    machine(8, 64, ("0", "3"))
    assert sharing(slots(workers=3)) == {0, 2} and sharing(slots()) == frozenset()
    assert sharing(slots(gpus=0)) == frozenset()
    assert sharing(spread([node(8, 2)], per_gpu=2)) == {0, 1, 2, 3}
    assert sharing(spread([node(8, 2)])) == frozenset()


def test_gpus_are_numbered_as_the_driver_does_and_flags_of_others_are_kept(
    machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XLA_FLAGS of the user were lost once, where kernels were asked for the same numbers."""
    machine(8, 64, ("0",))
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_autotune_level=0")
    environment = slots()[0].environment
    assert environment["XLA_FLAGS"] == "--xla_gpu_autotune_level=0 --xla_gpu_deterministic_ops=true"
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "XLA_FLAGS" not in slots(deterministic=False)[0].environment


def test_a_processor_compiles_fast_unless_told_otherwise(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(8, 64)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert slots()[0].environment["XLA_FLAGS"] == "--xla_backend_optimization_level=1"
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=3")
    assert slots()[0].environment["XLA_FLAGS"].split()[-1] == "--xla_backend_optimization_level=3"


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


ASKED = """
import jax, tensorflow
from tensorflow.python.framework.config import is_op_determinism_enabled
assert is_op_determinism_enabled()
jax.numpy.zeros(1)  # ends the process at flags that it does not know
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_the_frameworks_hear_that_the_same_numbers_are_asked_for(machine) -> None:
    """A variable that a new version no longer reads would fail nothing else, and be seen on GPUs only."""
    machine(1, 64, ("0",))
    environment = {**os.environ, **slots()[0].environment, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-c", ASKED], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def node(cpus: float, gpus: float = 0.0, memory: int = 64) -> Node:
    """A node with so many cores, GPUs and GiB."""
    return Node("n", cpus, gpus, memory * GIB)


def shares(*arguments: Any, **named: Any) -> set[tuple[float, float, str]]:
    """The cores, GPUs and threads of the children of a cluster, which are all alike."""
    return {(s.cpus, s.gpus, s.environment["OMP_NUM_THREADS"]) for s in spread(*arguments, **named)}


def test_a_cluster_gets_a_child_for_each_gpu_or_else_for_each_core() -> None:
    gpus = [node(16, 4), node(8, 2)]
    assert len(spread(gpus)) == 6 and shares(gpus) == {(4.0, 1.0, "4")}
    cores = [node(2), node(4, memory=3)]
    assert len(spread(cores)) == 2 + 3 and shares(cores) == {(1.0, 0.0, "1")}
    assert len(spread(gpus, gpus=0)) == 24 and shares(gpus, gpus=0) == {(1.0, 0.0, "1")}


def test_children_beyond_the_gpus_and_cores_of_a_cluster_share_them() -> None:
    assert shares([node(8, 1), node(8, 1)], workers=8) == {(2.0, 0.25, "2")}
    assert shares([node(8, 3)], workers=4) == {(2.0, 0.5, "2")}  # two on each: three quarters would not fit
    assert shares([node(8, 1)], workers=3) == {(2.0, 0.3333, "2")}
    assert shares([node(2), node(1)], workers=6) == {(0.5, 0.0, "1")}


def test_all_children_of_a_cluster_find_a_place_on_one_of_its_nodes() -> None:
    assert shares([node(3), node(3)], workers=2) == {(3.0, 0.0, "3")}
    assert shares([node(3), node(3)], workers=3) == {(1.0, 0.0, "1")}
    assert shares([node(3), node(3)], workers=3, threads=2) == {(2.0, 0.0, "2")}  # as asked; one of them waits


def test_trials_are_packed_on_the_gpus_of_a_cluster() -> None:
    assert shares([node(8, 1), node(8, 1)], per_gpu=4) == {(2.0, 0.25, "2")}
    assert len(spread([node(8, 1), node(8, 1)], per_gpu=4)) == 8


def test_a_cluster_with_too_few_gpus_says_how_many_it_has() -> None:
    with pytest.raises(DeviceMissing, match=r"4 GPU\(s\) are asked for, but the cluster's 2 node\(s\) have 2"):
        spread([node(8, 1), node(8, 1)], gpus=4)


def test_a_cluster_without_room_still_gets_a_child_to_wait_for_it() -> None:
    assert len(spread([Node("n", 2, 0, CHILD_MEMORY // 2)])) == 1

"""`searchlab doctor` says what is wrong between a GPU, its driver, CUDA and the framework, and what to do."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from searchlab.runner import gpu_health
from searchlab.runner.finding import Finding
from searchlab.runner.gpu_health import cuda_version, examine_gpus

TWO = "0, NVIDIA H100, 81559 MiB, 550.54\n1, NVIDIA H100, 81559 MiB, 550.54\n"

Examine = Callable[..., dict[str, Finding]]


def tool(path: Path, said: str, status: int = 0) -> None:
    """A program that says something and ends."""
    path.parent.mkdir(exist_ok=True)
    (path.parent / "said").write_text(said)
    path.write_text(f"#!/bin/sh\n/bin/cat '{path.parent / 'said'}'\nexit {status}\n")
    path.chmod(0o755)


@pytest.fixture
def examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Examines a machine with such device files, nvidia-smi, CUDA, environment and framework."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())

    def examine(
        smi: str | None = TWO,
        *,
        status: int = 0,
        nodes: int = 2,
        cuda: str | None = "12.9.79",
        sees: tuple[str, ...] = ("gpu:0", "gpu:1"),
        **environment: str,
    ) -> dict[str, Finding]:
        dev, tools = tmp_path / "dev", tmp_path / "tools"
        dev.mkdir(exist_ok=True)
        for name in ("nvidiactl", *(f"nvidia{number}" for number in range(nodes))):
            (dev / name).touch()
        if smi is not None:
            tool(tools / "nvidia-smi", smi, status)
        tool(tmp_path / "framework" / "python", json.dumps(sees), status=0 if sees else 1)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "framework" / "python"))
        monkeypatch.setattr(gpu_health, "cuda_version", lambda: cuda)
        monkeypatch.setattr(gpu_health.devices, "_installed", lambda: tuple("01"[:nodes]))
        found = examine_gpus(["tensorflow", "jax", "jax", "torch"], {"PATH": str(tools), **environment}, files=dev)
        return {finding.subject: finding for finding in found}

    return examine


def test_a_healthy_machine_has_its_gpus_its_driver_and_what_sees_them(examine: Examine) -> None:
    found = examine()
    assert {finding.grade for finding in found.values()} == {"good"}
    assert found["GPUs"].words == "0: NVIDIA H100, 81559 MiB; 1: NVIDIA H100, 81559 MiB; driver 550.54"
    assert found["CUDA"].words == "12.9.79"
    assert found["tensorflow"].words == found["jax"].words == "sees gpu:0, gpu:1"
    assert "torch" not in found


def test_a_machine_without_a_gpu_loads_no_framework(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **named: pytest.fail("something was started"))
    (finding,) = examine(None, nodes=0).values()
    assert finding == Finding("note", "GPUs", "none can be seen; training runs on the CPU")


def test_device_files_without_the_driver_s_tools(examine: Examine) -> None:
    finding = examine(None)["GPUs"]
    assert finding.grade == "bad"
    assert "/dev has nvidia0, nvidia1, but there is no nvidia-smi" in finding.words
    assert "NVIDIA_DRIVER_CAPABILITIES" in finding.words


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Failed to initialize NVML: Driver/library version mismatch", "restart the machine"),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "install the driver again"),
        ("No devices were found", "Xid"),
        ("Failed to initialize NVML: Unknown Error", "in a container"),
        ("", "nothing (exit status 9)"),
    ],
)
def test_what_the_driver_complains_of_comes_with_a_remedy(said: str, remedy: str, examine: Examine) -> None:
    finding = examine(said, status=9)["GPUs"]
    assert finding.grade == "bad" and said in finding.words and remedy in finding.words


def test_a_driver_that_is_too_old_for_the_cuda_that_was_installed(examine: Examine) -> None:
    finding = examine(TWO.replace("550.54", "470.82"))["CUDA"]
    assert finding == Finding(
        "bad", "CUDA", "driver 470.82 is too old for CUDA 12.9.79, which needs 525 or newer: renew the driver"
    )
    assert examine(cuda="13.1")["CUDA"].grade == "bad"
    assert "pip install 'searchlab[gpu]'" in examine(cuda=None)["CUDA"].words


def test_a_framework_that_does_not_see_what_the_driver_has(examine: Examine) -> None:
    finding = examine(sees=("cpu:0",))["tensorflow"]
    assert finding.grade == "bad"
    assert finding.words.startswith("sees cpu:0 only, though the driver has a GPU: pip install 'searchlab[gpu]'")
    assert examine(sees=())["jax"].words.startswith("does not load")


@pytest.mark.parametrize(
    ("named", "grade", "words"),
    [
        ("-1", "note", "hides all GPUs; unset it to use 0, 1"),
        ("", "note", "hides all GPUs"),
        ("7", "bad", "names none that is there and hides all: unset it, or name some of 0, 1"),
        ("1", "note", "1 of 2 are used"),
    ],
)
def test_an_environment_that_hides_gpus_is_told(named: str, grade: str, words: str, examine: Examine) -> None:
    found = examine(CUDA_VISIBLE_DEVICES=named)
    assert found["CUDA_VISIBLE_DEVICES"].grade == grade and words in found["CUDA_VISIBLE_DEVICES"].words
    assert ("tensorflow" in found) == (named == "1")


def test_what_measures_trials_is_missed_where_it_is_not_installed(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'searchlab[gpu]'" in examine()["telemetry"].words


def test_little_shared_memory_is_told(examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev" / "shm").mkdir(parents=True)
    monkeypatch.setattr(gpu_health.shutil, "disk_usage", lambda path: type("Usage", (), {"total": 64 << 20}))
    finding = examine()[str(tmp_path / "dev" / "shm")]
    assert finding.grade == "note" and "64 MiB" in finding.words and "--shm-size" in finding.words


def test_keras_is_asked_in_a_process_of_its_own() -> None:
    """The real one, on whatever this machine has."""
    done = subprocess.run([sys.executable, "-m", "searchlab.runner.seen"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_the_installed_cuda_is_known_by_its_wheel() -> None:
    assert cuda_version() is None or cuda_version()[0].isdigit()

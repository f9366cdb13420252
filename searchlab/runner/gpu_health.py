"""What can be wrong between an NVIDIA GPU, its driver, CUDA and the framework, and what to do about each.

Nothing is asked of a framework where the driver has no GPU, so that the examination of other machines stays quick.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from searchlab import devices
from searchlab.runner.finding import Finding

OLDEST_DRIVER: Mapping[int, int] = {11: 450, 12: 525, 13: 580}
"""The first driver that runs programs of each CUDA (CUDA Compatibility guide, minor version compatibility)."""

CUDA_PACKAGES = ("nvidia-cuda-runtime-cu12", "nvidia-cuda-runtime", "nvidia-cuda-runtime-cu11")
"""Where the frameworks' wheels have CUDA from."""

INSTALL = "pip install 'searchlab[gpu]'"

REMEDIES: Mapping[str, str] = {
    "version mismatch": "the driver was renewed under the running kernel: restart the machine",
    "couldn't communicate": "its kernel module is not loaded: restart the machine, or install the driver again",
    "no devices were found": "the driver runs, but has no GPU: look for Xid in the kernel's log (dmesg)",
    "unknown error": "in a container, its devices were taken from it: start it again; else look at dmesg",
}
"""What people can do about what nvidia-smi says."""

LITTLE_SHARED_MEMORY = 1 << 30
PATIENCE = 120.0
"""Seconds that a framework has for loading and looking at the GPU."""


@dataclass(frozen=True)
class Driver:
    """What nvidia-smi answers."""

    gpus: tuple[str, ...] = ()
    """Number, name and memory of each, as one text."""
    version: str = ""
    fault: str | None = None
    """Why there is no answer; the other fields are empty then."""


def examine_gpus(
    backends: Iterable[str], environment: Mapping[str, str] = os.environ, *, files: Path = Path("/dev")
) -> Iterator[Finding]:
    """Everything about GPUs, in a fixed order; `backends` are those that would train here."""
    nodes = sorted(file.name for file in files.glob("nvidia*") if file.name.removeprefix("nvidia").isdigit())
    driver = ask_driver(environment)
    if driver is None:
        yield _without_tools(nodes)
    elif driver.fault is not None:
        remedy = next((words for sign, words in REMEDIES.items() if sign in driver.fault.lower()), "look at dmesg")
        yield Finding("bad", "GPUs", f"nvidia-smi says {driver.fault!r}: {remedy}")
    else:
        yield Finding("good", "GPUs", f"{'; '.join(driver.gpus)}; driver {driver.version}")
        visible = devices.gpus(environment)
        yield from _hidden(driver, visible, environment.get("CUDA_VISIBLE_DEVICES"))
        yield from _cuda(driver)
        if visible:
            yield from (_seen(backend, environment) for backend in dict.fromkeys(backends) if backend != "torch")
        if importlib.util.find_spec("pynvml") is None:
            yield Finding("note", "telemetry", f"trials come without use, memory and energy of their GPU: {INSTALL}")
    yield from _shared_memory(files / "shm")


def ask_driver(environment: Mapping[str, str]) -> Driver | None:
    """What nvidia-smi says; None where there is none."""
    tool = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if tool is None:
        return None
    query = [tool, "--query-gpu=index,name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return Driver(fault=str(error))
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
    whole = [row for row in rows if len(row) == 4]
    if done.returncode or not whole:
        said = (done.stdout + done.stderr).strip().partition("\n")[0]
        return Driver(fault=said or f"nothing (exit status {done.returncode})")
    return Driver(tuple(f"{number}: {name}, {memory}" for number, name, memory, _ in whole), whole[0][3])


def cuda_version() -> str | None:
    """The version of CUDA that the frameworks have brought along; None where they use the machine's, or none."""
    for package in CUDA_PACKAGES:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


def _without_tools(nodes: list[str]) -> Finding:
    if not nodes:
        return Finding("note", "GPUs", "none can be seen; training runs on the CPU")
    return Finding(
        "bad",
        "GPUs",
        f"/dev has {', '.join(nodes)}, but there is no nvidia-smi: install the driver's tools; start a container with "
        "--gpus all and NVIDIA_DRIVER_CAPABILITIES=compute,utility",
    )


def _hidden(driver: Driver, visible: tuple[str, ...], named: str | None) -> Iterator[Finding]:
    """What CUDA_VISIBLE_DEVICES leaves of the GPUs."""
    if named is None:
        return
    numbers = ", ".join(gpu.partition(":")[0] for gpu in driver.gpus)
    if visible:
        yield Finding("note", "CUDA_VISIBLE_DEVICES", f"is {named!r}: {len(visible)} of {len(driver.gpus)} are used")
    elif named.strip() in ("", "-1"):
        yield Finding("note", "CUDA_VISIBLE_DEVICES", f"is {named!r}, which hides all GPUs; unset it to use {numbers}")
    else:
        words = f"is {named!r}, which names none that is there and hides all: unset it, or name some of {numbers}"
        yield Finding("bad", "CUDA_VISIBLE_DEVICES", words)


def _cuda(driver: Driver) -> Iterator[Finding]:
    """Whether the driver is new enough for the CUDA that was installed."""
    installed = cuda_version()
    if installed is None:
        yield Finding("note", "CUDA", f"no CUDA came with the frameworks; where the machine has none either: {INSTALL}")
        return
    needed = OLDEST_DRIVER.get(_major(installed), 0)
    if _major(driver.version) < needed:
        words = (
            f"driver {driver.version} is too old for CUDA {installed}, which needs {needed} or newer: renew the driver"
        )
        yield Finding("bad", "CUDA", words)
    else:
        yield Finding("good", "CUDA", installed)


def _seen(backend: str, environment: Mapping[str, str]) -> Finding:
    """Whether `backend` can use a GPU that the driver has."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "searchlab.runner.seen"],
            env={**environment, "KERAS_BACKEND": backend, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        names = json.loads(done.stdout) if done.returncode == 0 else []
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Finding("bad", backend, f"does not load: {error}")
    if not names:
        last = done.stderr.strip().rpartition("\n")[2]
        return Finding("bad", backend, f"does not load: {last}")
    on_gpu = [name for name in names if not name.startswith("cpu")]
    if on_gpu:
        return Finding("good", backend, f"sees {', '.join(on_gpu)}")
    return Finding("bad", backend, f"sees {', '.join(names)} only, though the driver has a GPU: {INSTALL}")


def _shared_memory(folder: Path) -> Iterator[Finding]:
    if folder.is_dir() and (size := shutil.disk_usage(folder).total) < LITTLE_SHARED_MEMORY:
        words = f"{size / 2**20:.0f} MiB; Ray and NCCL want more: start the container with --shm-size=2g"
        yield Finding("note", str(folder), words)


def _major(text: str) -> int:
    """The first number of a version; 0 where there is none."""
    first = text.partition(".")[0]
    return int(first) if first.isdigit() else 0

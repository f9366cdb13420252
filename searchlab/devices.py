"""What this machine has, found out without loading any framework: cores, memory, GPUs.

Why not ask TensorFlow: the supervisor must stay light, and a framework that has looked at a GPU holds on to it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

CONTAINER = "/sys/fs/cgroup"
CPU_LIMITS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
MEMORY_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""What a container may use, in the two versions of Linux's control groups."""


def cores() -> int:
    """Cores that this process may use: its affinity, and the quota of its container where one is set."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in CPU_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            quota, period = " ".join(Path(CONTAINER, file).read_text(encoding="ascii") for file in files).split()
            if quota not in ("max", "-1"):
                allowed = min(allowed, max(1, int(quota) // int(period)))
    return allowed


def memory() -> int:
    """Bytes of main memory that this process may use, the limit of its container included."""
    total = int(psutil.virtual_memory().total)
    for file in MEMORY_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(Path(CONTAINER, file).read_text(encoding="ascii")))
    return total


def gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The GPUs that a child may be given, as CUDA_VISIBLE_DEVICES names them: numbers, or UUIDs where it has those.

    A CUDA_VISIBLE_DEVICES in `environment` is obeyed as CUDA does: names after the first invalid one do not count.
    """
    present = _installed()
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None or not present:
        return present
    visible: list[str] = []
    for name in (part.strip() for part in named.split(",")):
        if not (name in present or name.startswith(("GPU-", "MIG-"))) or name in visible:
            break
        visible.append(name)
    return tuple(visible)


def _installed() -> tuple[str, ...]:
    """The numbers of all NVIDIA GPUs, from the driver's own tool or else from the device files."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            check=True,
            text=True,
            timeout=10,
        )
        return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip().isdigit())
    numbers = [name.name.removeprefix("nvidia") for name in Path("/dev").glob("nvidia*")]
    return tuple(sorted((number for number in numbers if number.isdigit()), key=int))

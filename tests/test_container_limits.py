"""What a container may use, in both versions of Linux's control groups."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from searchlab import devices


@pytest.mark.parametrize(
    "files",
    [
        {"cpu.max": "100000 100000\n", "memory.max": "3221225472\n"},
        {
            "cpu/cpu.cfs_quota_us": "150000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "memory/memory.limit_in_bytes": "3221225472\n",
        },
    ],
)
def test_limits_of_a_container_are_obeyed(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(devices, "CONTAINER", str(tmp_path))
    assert devices.cores() == 1 and devices.memory() == 3 << 30


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"cpu.max": "max 100000\n", "memory.max": "max\n"},
        {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
    ],
)
def test_without_a_limit_all_may_be_used(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(devices, "CONTAINER", str(tmp_path))
    assert devices.cores() == len(os.sched_getaffinity(0)) and devices.memory() == psutil.virtual_memory().total

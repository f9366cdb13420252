"""What a figure depends on besides the code: processor, memory, versions, commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("keras", "tensorflow", "jax", "torch", "optuna", "mlflow", "keras-tuner", "ray", "numpy")


def facts() -> dict[str, Any]:
    """The machine and what runs on it."""
    return {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": gpus(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
    }


def cpu() -> str:
    """The processor's name."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), flags=re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def gpus() -> list[str]:
    """The names of NVIDIA's, if any."""
    names = _said(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    return names.splitlines() if names else []


def commit() -> str:
    """The commit of the working tree, with a + when searchlab itself was changed since."""
    name = _said(["git", "rev-parse", "--short=12", "HEAD"])
    return f"{name}{'+' if _said(['git', 'status', '--porcelain', '--', 'searchlab']) else ''}" if name else "unknown"


def code() -> str | None:
    """Git's name for the tree of searchlab's own code, the same at all commits that leave it as it is."""
    name = _said(["git", "rev-parse", "--short=12", "HEAD:searchlab"])
    return None if not name or commit().endswith("+") else name


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""

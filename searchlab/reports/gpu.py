"""What trials took of their GPUs, as columns and as a line; nothing where none was measured."""

from __future__ import annotations

from collections.abc import Iterable

from searchlab.records import GpuUse, TrialRecord

COLUMNS = ("gpu", "gpu_utilization", "gpu_memory_mib", "gpu_energy_wh")
"""In tables and files, for a study that has such figures."""


def is_measured(records: Iterable[TrialRecord]) -> bool:
    """Whether any trial has figures."""
    return any(record.result is not None and record.result.gpu is not None for record in records)


def figures(record: TrialRecord) -> tuple[str | float | None, ...]:
    """The values of `COLUMNS`: the GPU's name, mean utilisation in [0, 1], MiB, Wh."""
    gpu = record.result.gpu if record.result is not None else None
    if gpu is None:
        return (None,) * len(COLUMNS)
    return gpu.name, gpu.utilization, None if gpu.memory is None else gpu.memory / 2**20, gpu.energy


def texts(record: TrialRecord) -> tuple[str, str, str]:
    """How busy the GPU was, MiB and Wh, as people read them."""
    gpu = record.result.gpu if record.result is not None else None
    return (
        "–" if gpu is None or gpu.utilization is None else f"{gpu.utilization:.0%}",
        "–" if gpu is None or gpu.memory is None else f"{gpu.memory / 2**20:.0f}",
        "–" if gpu is None or gpu.energy is None else f"{gpu.energy:.3g}",
    )


def gpu_lines(records: Iterable[TrialRecord]) -> tuple[str, ...]:
    """One line for each kind of GPU: `NVIDIA H100: 12 trials, busy 63 % of the time, 5.1 GiB at most, 42 Wh in all`."""
    by_name: dict[str, list[tuple[GpuUse, float]]] = {}
    for record in records:
        if record.result is not None and record.result.gpu is not None:
            by_name.setdefault(record.result.gpu.name, []).append((record.result.gpu, record.result.seconds))
    return tuple(f"{name}: {_words(uses)}" for name, uses in sorted(by_name.items()))


def _words(uses: list[tuple[GpuUse, float]]) -> str:
    parts = ["1 trial" if len(uses) == 1 else f"{len(uses)} trials"]
    busy = [(use.utilization, seconds) for use, seconds in uses if use.utilization is not None]
    time = sum(seconds for _, seconds in busy)
    if time > 0:
        parts.append(f"busy {sum(share * seconds for share, seconds in busy) / time:.0%} of the time")
    memory = max((use.memory for use, _ in uses if use.memory is not None), default=None)
    if memory is not None:
        parts.append(f"{memory / 2**30:.1f} GiB at most")
    energy = [use.energy for use, _ in uses if use.energy is not None]
    if energy:
        parts.append(f"{sum(energy):.3g} Wh in all")
    return ", ".join(parts)

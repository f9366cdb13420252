"""What a trial takes of its GPU, looked at once a second while it trains; without a GPU there is nothing, no thread.

All figures but the memory are the device's: where others train on it too (`trials_per_gpu`), their work is in them.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from searchlab import nvml
from searchlab.nvml import Gpu
from searchlab.records import Cohort, GpuUse, TrialResult

EVERY = 1.0
"""Seconds between two looks; NVML's own utilisation is that of the last sixth of a second to a second."""

JOULES = 3600.0
"""In a watt-hour."""

Complete: TypeAlias = Callable[[TrialResult], TrialResult]
"""Adds to a result what the trial has taken."""


@contextlib.contextmanager
def watched(cohort: Cohort, gpu: Gpu | None, *, every: float = EVERY) -> Iterator[Complete]:
    """What completes the results of `cohort` while it is trained inside, on `gpu`.

    Trials that are trained together have the figures of all of them, but for the energy, of which each has its share.
    """
    if gpu is None:
        yield lambda result: result
        return
    meter = Meter(gpu)
    over = threading.Event()

    def look() -> None:
        while not over.wait(every):
            meter.look()

    thread = threading.Thread(target=look, name="searchlab-gpu", daemon=True)
    thread.start()
    try:
        yield lambda result: replace(result, gpu=meter.read(share=len(cohort.trials)))
    finally:
        over.set()
        thread.join()


class Meter:
    """The figures of one GPU since this was made."""

    def __init__(self, gpu: Gpu, now: Callable[[], float] = time.monotonic) -> None:
        self._gpu = gpu
        self._now = now
        self._lock = threading.Lock()
        self._busy: list[float] = []
        self._memory: list[int] = []
        self._counter = gpu.energy()
        self._integral = 0.0
        """Joules, where the GPU does not count them itself."""
        self._power = gpu.power()
        self._looked = now()

    def look(self) -> None:
        """Take one sample."""
        with self._lock:
            busy, held, power, now = (
                self._gpu.utilization(),
                self._gpu.memory_of(os.getpid()),
                self._gpu.power(),
                self._now(),
            )
            self._busy += [] if busy is None else [busy]
            self._memory += [] if held is None else [held]
            if power is not None and self._power is not None:
                self._integral += (power + self._power) / 2 * (now - self._looked)
            self._power, self._looked = power, now

    def read(self, *, share: int = 1) -> GpuUse:
        """What was taken until now; of the energy one part of `share`."""
        self.look()
        with self._lock:
            joules = self._joules()
            return GpuUse(
                name=self._gpu.name() or "unknown",
                utilization=sum(self._busy) / len(self._busy) if self._busy else None,
                memory=max(self._memory, default=None),
                energy=None if joules is None else joules / JOULES / share,
            )

    def _joules(self) -> float | None:
        counted = self._gpu.energy()
        if counted is not None and self._counter is not None:
            return counted - self._counter
        return self._integral if self._power is not None else None


def own_gpu() -> Gpu | None:
    """The GPU that this process was given; None without one."""
    return nvml.gpu(os.environ.get("CUDA_VISIBLE_DEVICES"))

"""How a machine, or a cluster, is divided between children: who gets which cores and which GPU.

Why one thread for each child on a CPU: two threads bring nothing for networks of the size a search trains (a small
CNN runs no faster on two), while two children finish twice the trials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from searchlab import devices
from searchlab.errors import DeviceMissing
from searchlab.executors import EXECUTORS, Clustered, Executor, Node, Slot
from searchlab.spec import StudySpec

CHILD_MEMORY = 1 << 30
"""Bytes that a child with a loaded framework and a small data set takes, about."""

NO_GPU = "-1"
"""The CUDA_VISIBLE_DEVICES of a child on the processor."""

SHARERS = 16
"""At most so many children share a core of a cluster, where more are asked for than it has cores."""


@contextmanager
def placed(
    spec: StudySpec, log_folder: Path, *, extra: Mapping[str, str] | None = None
) -> Iterator[tuple[Executor, tuple[Slot, ...]]]:
    """What `spec` asks to be trained on: its executor, and a slot for each child; a cluster is joined meanwhile.

    Raises:
        DeviceMissing: More GPUs are asked for than there are.
        MissingExtra, ServiceError: As `Clustered.join`.
    """
    execution = spec.execution
    asked = execution.workers, execution.threads, execution.gpus
    deterministic = spec.training.deterministic
    executor = EXECUTORS.get(execution.executor)
    if not isinstance(executor, Clustered):
        yield executor, slots(*asked, deterministic=deterministic, extra=extra)[: spec.search.trials]
        return
    cluster = executor.join(execution.address or "auto", log_folder=str(log_folder))
    try:
        yield cluster, spread(cluster.nodes, *asked, deterministic=deterministic, extra=extra)[: spec.search.trials]
    finally:
        cluster.leave()


def slots(
    workers: int | Literal["auto"] = "auto",
    threads: int | Literal["auto"] = "auto",
    gpus: int | Literal["auto"] = "auto",
    *,
    deterministic: bool = True,
    extra: Mapping[str, str] | None = None,
) -> tuple[Slot, ...]:
    """One slot for each child.

    `gpus` is how many to use ("auto": all that are visible).  `workers` "auto" is one for each GPU, or on a machine
    without one for each core as far as memory goes; more workers than GPUs share them in turn.  `threads` "auto"
    divides the cores between the workers.  `deterministic` asks GPU kernels for the same numbers every time; on a CPU
    they are that anyway.  `extra` is what the engine needs in a child's environment.

    Raises:
        DeviceMissing: More GPUs are asked for than are visible.
    """
    used = _choose(gpus)
    cores = devices.cores()
    fitting = max(1, min(cores, devices.memory() // CHILD_MEMORY))
    count = (len(used) or fitting) if workers == "auto" else workers
    each = max(1, cores // count) if threads == "auto" else threads
    return tuple(
        Slot(n, {**_environment(each, used[n % len(used)] if used else None, deterministic), **(extra or {})})
        for n in range(count)
    )


def gpu_of(slot: Slot) -> str | None:
    """The GPU that a child in `slot` may use; None for one on the processor."""
    name = slot.environment.get("CUDA_VISIBLE_DEVICES", NO_GPU)
    return None if name == NO_GPU else name


def spread(
    nodes: Sequence[Node],
    workers: int | Literal["auto"] = "auto",
    threads: int | Literal["auto"] = "auto",
    gpus: int | Literal["auto"] = "auto",
    *,
    deterministic: bool = True,
    extra: Mapping[str, str] | None = None,
) -> tuple[Slot, ...]:
    """One slot for each child on the nodes of a cluster, all with the same share of cores and GPUs; see `slots`.

    Raises:
        DeviceMissing: More GPUs are asked for than the cluster has.
    """
    present = int(sum(node.gpus for node in nodes))
    used = present if gpus == "auto" else gpus
    if used > present:
        raise DeviceMissing(
            f"{used} GPU(s) are asked for, but the cluster's {len(nodes)} node(s) have {present}. Lower "
            "execution.gpus, or add nodes (`ray start --num-gpus` says how many one has)."
        )
    fitting = sum(min(int(node.cpus), node.memory // CHILD_MEMORY) for node in nodes)
    count = (used or max(1, fitting)) if workers == "auto" else workers
    sharers = math.ceil(count / used) if used else 0
    cores = _most_cores(nodes, count, sharers) if threads == "auto" else float(threads)
    environment = {**_environment(max(1, int(cores)), "any" if used else None, deterministic), **(extra or {})}
    return tuple(Slot(n, environment, cpus=cores, gpus=_part(sharers) if used else 0.0) for n in range(count))


def _most_cores(nodes: Sequence[Node], count: int, sharers: int) -> float:
    """The most cores that each of `count` children can have, `sharers` of them on a GPU, so that all find a place."""
    most = max((int(node.cpus) for node in nodes), default=1)
    for cores in (*map(float, range(most, 0, -1)), *map(_part, range(2, SHARERS + 1))):
        rooms = (min(math.floor(node.cpus / cores), int(node.gpus) * sharers if sharers else count) for node in nodes)
        if sum(rooms) >= count:
            return cores
    return 1.0


def _part(sharers: int) -> float:
    """A share that so many can have of one device, to the four places that clusters count in."""
    return math.floor(1e4 / sharers) / 1e4


def _choose(wanted: int | Literal["auto"]) -> tuple[str, ...]:
    """The names of the GPUs to use."""
    if wanted == 0:
        return ()
    visible = devices.gpus()
    if wanted == "auto":
        return visible
    if wanted > len(visible):
        named = f" ({', '.join(visible)})" if visible else ""
        raise DeviceMissing(
            f"{wanted} GPU(s) are asked for, but {len(visible)} can be seen{named}. Lower execution.gpus, "
            "or look at nvidia-smi and CUDA_VISIBLE_DEVICES."
        )
    return visible[:wanted]


def _environment(threads: int, gpu: str | None, deterministic: bool) -> dict[str, str]:
    """What pins a child to its place, for every backend; KERAS_BACKEND is inherited as it is."""
    same_numbers = {"TF_DETERMINISTIC_OPS": "1", "XLA_FLAGS": "--xla_gpu_deterministic_ops=true"}
    return {
        **(same_numbers if deterministic and gpu is not None else {}),
        "CUDA_VISIBLE_DEVICES": NO_GPU if gpu is None else gpu,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "OMP_NUM_THREADS": str(threads),
        "PJRT_NPROC": str(threads),  # JAX on a CPU; two children of a thread each end 8 % sooner than two of two
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }

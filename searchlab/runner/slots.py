"""How a machine, or a cluster, is divided between children: who gets which cores and which GPU.

Why one thread for each child on a CPU: two threads bring nothing for networks of the size a search trains (a small
CNN runs no faster on two), while two children finish twice the trials.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypedDict

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


FRACTION = ("XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION")
"""What says how much of a GPU JAX may take: the name that every version reads, and the one that newer ones prefer."""

USABLE = 0.9
"""The share of a GPU's memory that children divide; the rest is for CUDA itself, once in each process."""


class Settings(TypedDict, total=False):
    """What `slots` and `spread` are told beside numbers of workers, threads and GPUs."""

    per_gpu: int | Literal["auto"]
    deterministic: bool
    extra: Mapping[str, str] | None


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
    settings: Settings = {
        "per_gpu": execution.trials_per_gpu,
        "deterministic": spec.training.deterministic,
        "extra": extra,
    }
    executor = EXECUTORS.get(execution.executor)
    if not isinstance(executor, Clustered):
        yield executor, slots(*asked, **settings)[: spec.search.trials]
        return
    cluster = executor.join(execution.address or "auto", log_folder=str(log_folder))
    try:
        yield cluster, spread(cluster.nodes, *asked, **settings)[: spec.search.trials]
    finally:
        cluster.leave()


def slots(
    workers: int | Literal["auto"] = "auto",
    threads: int | Literal["auto"] = "auto",
    gpus: int | Literal["auto"] = "auto",
    *,
    per_gpu: int | Literal["auto"] = "auto",
    deterministic: bool = True,
    extra: Mapping[str, str] | None = None,
) -> tuple[Slot, ...]:
    """One slot for each child.

    `gpus` is how many to use ("auto": all that are visible).  `workers` "auto" is `per_gpu` ("auto": one) for each
    GPU, or on a machine without one for each core as far as memory goes; more workers than GPUs share them in turn; 0
    is none.
    `threads` "auto" divides the cores between the workers.  `deterministic` asks GPU kernels for the same numbers every
    time; on a CPU they are that anyway.  `extra` is what the engine needs in a child's environment.

    Raises:
        DeviceMissing: More GPUs are asked for than are visible, or more workers than these take.
    """
    if workers == 0:
        return ()
    used = _choose(gpus)
    cores = devices.cores()
    fitting = max(1, min(cores, devices.memory() // CHILD_MEMORY))
    count = _packed(workers, len(used), per_gpu) or fitting
    each = max(1, cores // count) if threads == "auto" else threads
    places = []
    for n in range(count):
        gpu = used[n % len(used)] if used else None
        sharers = len(range(n % len(used), count, len(used))) if used else 0
        places.append(Slot(n, {**_environment(each, gpu, sharers, deterministic), **(extra or {})}))
    return tuple(places)


def sharing(places: Sequence[Slot]) -> frozenset[int]:
    """The slots whose GPU other slots have too."""
    own = Counter(gpu_of(slot) for slot in places if not slot.gpus)
    return frozenset(s.number for s in places if 0 < s.gpus < 1 or (gpu_of(s) is not None and own[gpu_of(s)] > 1))


def _packed(workers: int | Literal["auto"], gpus: int, per_gpu: int | Literal["auto"]) -> int:
    """How many children there shall be; 0 where nothing says so.  Without a GPU `per_gpu` says nothing.

    Raises:
        DeviceMissing: More workers than the GPUs take.
    """
    if workers == "auto":
        return gpus * (1 if per_gpu == "auto" else per_gpu)
    if gpus and per_gpu != "auto" and workers > gpus * per_gpu:
        raise DeviceMissing(
            f"{workers} workers are asked for, but {gpus} GPU(s) with {per_gpu} trial(s) each take {gpus * per_gpu}. "
            "Lower execution.workers, raise execution.trials_per_gpu, or leave one of them out."
        )
    return workers


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
    per_gpu: int | Literal["auto"] = "auto",
    deterministic: bool = True,
    extra: Mapping[str, str] | None = None,
) -> tuple[Slot, ...]:
    """One slot for each child on the nodes of a cluster, all with the same share of cores and GPUs; see `slots`.

    Raises:
        DeviceMissing: More GPUs are asked for than the cluster has, or more workers than these take.
    """
    if workers == 0:
        return ()
    present = int(sum(node.gpus for node in nodes))
    used = present if gpus == "auto" else gpus
    if used > present:
        raise DeviceMissing(
            f"{used} GPU(s) are asked for, but the cluster's {len(nodes)} node(s) have {present}. Lower "
            "execution.gpus, or add nodes (`ray start --num-gpus` says how many one has)."
        )
    fitting = sum(min(int(node.cpus), node.memory // CHILD_MEMORY) for node in nodes)
    count = _packed(workers, used, per_gpu) or max(1, fitting)
    sharers = math.ceil(count / used) if used else 0
    cores = _most_cores(nodes, count, sharers) if threads == "auto" else float(threads)
    environment = {**_environment(max(1, int(cores)), "any" if used else None, sharers, deterministic), **(extra or {})}
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


def _environment(threads: int, gpu: str | None, sharers: int, deterministic: bool) -> dict[str, str]:
    """What pins a child to its place, for every backend; KERAS_BACKEND is inherited as it is."""
    return {
        **(_on_gpu(sharers, deterministic) if gpu is not None else _on_processor()),
        "CUDA_VISIBLE_DEVICES": NO_GPU if gpu is None else gpu,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "OMP_NUM_THREADS": str(threads),
        "PJRT_NPROC": str(threads),  # JAX on a CPU; two children of a thread each end 8 % sooner than two of two
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def _on_processor() -> dict[str, str]:
    """What a child without a GPU is told beside: to compile faster.

    At XLA's level 1 the programs of a population take a third less time to compile (three shapes: perceptrons 10.5 and
    7.3 s, CNN 8×8 12.9 and 9.4, LSTM 8.6 and 5.5) and run no slower; at level 0 they run three to four times as long.
    A level among XLA_FLAGS comes last, and counts.
    """
    return {"XLA_FLAGS": f"--xla_backend_optimization_level=1 {os.environ.get('XLA_FLAGS', '')}".strip()}


def _on_gpu(sharers: int, deterministic: bool) -> dict[str, str]:
    """What a child on a GPU that so many share is told beside.

    JAX gets its part of the memory, so that no child can take what the next one counts on; TensorFlow has no such
    variable, and takes what it needs.
    """
    found = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # the numbers of nvidia-smi, which are those that we go by
    if sharers > 1 and not any(name in os.environ for name in FRACTION):
        found[FRACTION[0]] = f"{USABLE / sharers:.3f}"
    if deterministic:
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true"
        found |= {"TF_DETERMINISTIC_OPS": "1", "XLA_FLAGS": flags.strip()}
    return found

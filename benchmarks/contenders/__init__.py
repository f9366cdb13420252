"""Who takes part: searchlab and its rivals, each as the command of a process of its own.

searchlab is called `searchlab`, `searchlab:fused` (that engine, instead of the default), `searchlab:fused@1` (with one
worker) or `searchlab+tensorflow` (on that backend alone).  A rival is called as its script in this folder is.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.spaces import for_searchlab, space_of
from benchmarks.tasks import Task

RIVALS = {
    "keras_tuner_random": "KerasTuner RandomSearch",
    "keras_tuner_hyperband": "KerasTuner Hyperband",
    "optuna_loop": "Optuna + Keras loop",
    "optuna_mlflow": "Optuna + Keras + MLflow autolog",
    "optuna_tpe_median": "Optuna TPE + median pruner",
    "ray_tune": "Ray Tune + Keras",
}
NEEDS = {
    "keras_tuner_random": ("keras_tuner",),
    "keras_tuner_hyperband": ("keras_tuner",),
    "ray_tune": ("ray", "fsspec"),  # the second comes with ray[tune], not with our extra
}
"""The library, where it is none of searchlab's own."""

RANDOM = ("searchlab", "keras_tuner_random", "keras_tuner_hyperband", "optuna_loop", "optuna_mlflow", "ray_tune")
PRUNING = ("searchlab", "keras_tuner_hyperband", "optuna_tpe_median")

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
SEARCHLAB = re.compile(
    r"searchlab(?:\+(?P<backend>tensorflow|jax|torch))?(?::(?P<engine>[a-z_]+))?(?:@(?P<workers>\d+))?"
)


@dataclass(frozen=True)
class Order:
    """What one process has to do."""

    task: Task
    space: str
    trials: int
    epochs: int
    seed: int
    prunes: bool = False
    """Whether searchlab searches as it does by default, TPE with successive halving, in place of random search."""


def is_known(name: str) -> bool:
    """Whether `name` names a contender."""
    return name in RIVALS or SEARCHLAB.fullmatch(name) is not None


def title(name: str) -> str:
    """`name` in words."""
    found = SEARCHLAB.fullmatch(name)
    if found is None:
        return RIVALS.get(name, name)
    backend, engine, workers = found["backend"], found["engine"], found["workers"]
    words = [f"{BACKENDS[backend]} alone"] if backend else []
    words += [f"engine {engine}"] if engine else []
    words += [f"{workers} worker" + ("s" if workers != "1" else "")] if workers else []
    return "searchlab" + (f" ({', '.join(words)})" if words else "")


def with_workers(names: Iterable[str], workers: Iterable[int]) -> list[str]:
    """`names`, each searchlab once for each number of `workers`."""
    counts = list(workers)
    if not counts:
        return list(names)
    return [
        each
        for name in names
        for each in ([f"{name}@{count}" for count in counts] if name.startswith("searchlab") else [name])
    ]


def missing(name: str) -> str | None:
    """The library that `name` needs and that is not installed."""
    return next((library for library in NEEDS.get(name, ()) if importlib.util.find_spec(library) is None), None)


def command(name: str, order: Order, folder: Path) -> list[str]:
    """The command for the contender `name`; its study file or its own files go to `folder`, data to the one above."""
    data = order.task.write(folder.parent)
    found = SEARCHLAB.fullmatch(name)
    if found is None:
        numbers = [str(order.trials), str(order.epochs), str(order.seed)]
        script = f"benchmarks.contenders.{name}"
        return [sys.executable, "-m", script, order.task.name, order.space, str(data), *numbers, str(folder)]
    study = folder / "study.yaml"
    content = study_of(order, data.resolve(), **found.groupdict())
    study.write_text(json.dumps(content, indent=2))  # JSON is YAML
    return [sys.executable, "-m", "searchlab", "run", "--plain", str(study)]


def study_of(
    order: Order, data: Path, *, backend: str | None = None, engine: str | None = None, workers: str | None = None
) -> dict[str, Any]:
    """The study that searchlab runs."""
    task = order.task
    names = {"x": "x_train", "y": "y_train"} | {
        name: name for part in ("validation", "test") for name in (f"x_{part}", f"y_{part}")
    }
    search: dict[str, Any] = {"trials": order.trials, "objective": "val_accuracy"}
    return {
        "study": "bench",
        "data": {"source": "npz", "path": str(data), **names, "kind": task.kind, "split": {"by": "given"}},
        "task": "sequence_classification" if task.kind == "tokens" else "image_classification",
        "space": for_searchlab(space_of(order.space, task), task),
        "search": search if order.prunes else {"sampler": "random", "pruner": "none", **search},
        "training": {"epochs": order.epochs}
        | ({"backend": backend} if backend else {})
        | ({"engine": engine} if engine else {}),
        "execution": {"workers": int(workers)} if workers else {},
        "seed": order.seed,
    }

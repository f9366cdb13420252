"""The search spaces, written once, and the form in which each contender takes them.

*value* fixes the network and varies numbers: learning rate, dropout, L2, momentum, and which optimizer.  *full* varies
depth, width and batch normalization too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from benchmarks.tasks import Task


@dataclass(frozen=True)
class Range:
    """A range of real numbers."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Options:
    """One of some values."""

    values: tuple[Any, ...]


Space: TypeAlias = dict[str, Range | Options]

VALUE: Space = {
    "optimizer": Options(("sgd", "rmsprop", "adam")),
    "learning_rate": Range(3e-4, 3e-2, log=True),
    "momentum": Range(0.0, 0.95),  # Adam has none
    "dropout": Range(0.0, 0.5),
    "l2": Range(1e-7, 1e-3, log=True),
}
WITHOUT_MOMENTUM = "adam"


def space_of(name: str, task: Task) -> Space:
    """The space `name` of `task`."""
    if name == "value":
        return VALUE
    depths, widths = ((1, 2), (16, 32, 64)) if task.family == "rnn" else ((1, 2, 3), (16, 32, 64))
    return {"depth": Options(depths), "width": Options(widths), "batch_norm": Options((True, False)), **VALUE}


SPACES = ("value", "full")


def for_searchlab(space: Space, task: Task) -> dict[str, Any]:
    """The section `space:` of a study file."""

    def written(domain: Range | Options) -> Any:
        if isinstance(domain, Range):
            return {"low": domain.low, "high": domain.high, "log": domain.log}
        return list(domain.values)

    forms = {name: written(domain) for name, domain in space.items()}
    network = {"depth": task.depth, "width": task.width, "batch_norm": False} | forms
    model = {name: network[name] for name in ("depth", "width", "dropout", "l2")}
    if task.family == "cnn" and "width" not in forms:
        model["growth"] = task.growth
    if task.family == "rnn":
        norm = network["batch_norm"]
        words = {True: "batch", False: "none"}
        model["normalization"] = [words[value] for value in norm] if isinstance(norm, list) else words[norm]
    else:
        model["batch_norm"] = network["batch_norm"]
    rates = {"learning_rate": forms["learning_rate"]}
    optimizers = {
        name: rates if name == WITHOUT_MOMENTUM else {**rates, "momentum": forms["momentum"]}
        for name in forms["optimizer"]
    }
    return {"model": {task.family: model}, "optimizer": optimizers, "training": {"batch_size": task.batch_size}}


def for_optuna(space: Space, trial: Any) -> dict[str, Any]:
    """The values of an Optuna trial."""
    values: dict[str, Any] = {}
    for name, domain in space.items():
        if name == "momentum" and values["optimizer"] == WITHOUT_MOMENTUM:
            continue
        if isinstance(domain, Range):
            values[name] = trial.suggest_float(name, domain.low, domain.high, log=domain.log)
        else:
            values[name] = trial.suggest_categorical(name, domain.values)
    return values


def for_keras_tuner(space: Space, hp: Any) -> dict[str, Any]:
    """The values of a KerasTuner trial."""
    values: dict[str, Any] = {}
    for name, domain in space.items():
        if name == "momentum" and values["optimizer"] == WITHOUT_MOMENTUM:
            continue
        if isinstance(domain, Range):
            sampling = "log" if domain.log else "linear"
            values[name] = hp.Float(name, domain.low, domain.high, sampling=sampling)
        else:
            values[name] = hp.Choice(name, list(domain.values))
    return values


def for_ray(space: Space) -> dict[str, Any]:
    """Ray Tune's parameter space; Adam is given a momentum that it does not use."""
    from ray import tune

    def written(domain: Range | Options) -> Any:
        if isinstance(domain, Options):
            return tune.choice(domain.values)
        return (tune.loguniform if domain.log else tune.uniform)(domain.low, domain.high)

    return {name: written(domain) for name, domain in space.items()}

"""Spaces, trials and results as JSON values, the form in which the storage keeps them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from searchlab.records import GpuUse, Objective, Trial, TrialResult
from searchlab.space import Choice, Condition, Domain, Fixed, Float, Int, Parameter, Params, Pick, Space

DOMAINS: dict[str, type[Domain]] = {"fixed": Fixed, "choice": Choice, "int": Int, "float": Float}


def space_to_json(space: Space) -> list[dict[str, Any]]:
    """One mapping a parameter, in the order of the space; the places in the file are left out."""
    return [_parameter_to_json(parameter) for parameter in space.parameters]


def space_from_json(content: list[dict[str, Any]]) -> Space:
    """The space whose `space_to_json` gave `content`."""
    return Space(tuple(_parameter_from_json(row) for row in content))


def trial_to_json(trial: Trial) -> dict[str, Any]:
    """All but the number and the attempt, which the storage keeps itself."""
    return {"params": dict(trial.params.values), "seed": trial.seed, "replicate": trial.replicate}


def trial_from_json(content: Mapping[str, Any], *, number: int, attempt: int) -> Trial:
    """The trial whose `trial_to_json` gave `content`."""
    return Trial(number, Params(content["params"]), content["seed"], attempt, content["replicate"])


def result_to_json(result: TrialResult) -> dict[str, Any]:
    """The result; numbers that JSON cannot hold (NaN, the infinities) become their names.

    What there is nothing of is left out where an earlier version, which may help with the study, does not know it.
    """
    content = asdict(result) | {"metrics": {name: _number(value) for name, value in result.metrics.items()}}
    if result.gpu is None:
        del content["gpu"]
    return content | {"value": None if result.value is None else _number(result.value)}


def result_from_json(content: Mapping[str, Any]) -> TrialResult:
    """The result whose `result_to_json` gave `content`."""
    value = content["value"]
    metrics = {name: float(number) for name, number in content["metrics"].items()}
    gpu = GpuUse(**content["gpu"]) if "gpu" in content else None
    return TrialResult(**{**content, "metrics": metrics, "value": None if value is None else float(value), "gpu": gpu})


def objective_from_json(content: Mapping[str, Any]) -> Objective:
    """The objective whose `asdict` gave `content`."""
    return Objective(**content)


def pick_to_json(pick: Pick) -> dict[str, Any]:
    """A plugin and its options."""
    return {"name": pick.name, "options": dict(pick.options)}


def pick_from_json(content: Mapping[str, Any]) -> Pick:
    """The pick whose `pick_to_json` gave `content`."""
    return Pick(content["name"], content["options"])


def _number(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(float(value))


def _parameter_to_json(parameter: Parameter) -> dict[str, Any]:
    kind = next(name for name, domain in DOMAINS.items() if type(parameter.domain) is domain)
    row: dict[str, Any] = {"name": parameter.name, "kind": kind, **asdict(parameter.domain)}
    if parameter.condition is not None:
        row["when"] = {"parent": parameter.condition.parent, "values": list(parameter.condition.values)}
    return row


def _parameter_from_json(row: Mapping[str, Any]) -> Parameter:
    fields = {key: value for key, value in row.items() if key not in ("name", "kind", "when")}
    if row["kind"] == "choice":
        fields["values"] = tuple(fields["values"])
    when = row.get("when")
    condition = Condition(when["parent"], tuple(when["values"])) if when else None
    return Parameter(row["name"], DOMAINS[row["kind"]](**fields), condition)

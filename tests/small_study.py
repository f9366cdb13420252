"""A study of one parameter, for tests of storages.  Not a test file."""

from __future__ import annotations

from typing import Any

from searchlab.records import Objective
from searchlab.search.study import Study
from searchlab.space import Fixed, Float, Parameter, Pick, Space

SPACE = Space((Parameter("optimizer", Fixed("sgd")), Parameter("optimizer.sgd.momentum", Float(0.0, 1.0))))


def small_study(
    url: str, *, metric: str = "val_loss", sampler: str = "random", pruner: str = "none", owner: str | None = None
) -> Study:
    """The study "s" at `url`, of which `owner` is a supervisor; no supervisor's without."""
    settings: dict[str, Any] = {
        "space": SPACE,
        "objective": Objective(metric, "minimize" if metric.endswith("loss") else "maximize"),
        "sampler": Pick(sampler, {}),
        "pruner": Pick(pruner, {}),
        "epochs": 3,
        "seed": 1,
        "facts": {},
    }
    study = Study.create(url, "s", **settings)
    if owner is not None:
        study.work_as(owner)
    return study

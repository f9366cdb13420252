"""What `searchlab plan` says beforehand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from searchlab.runner.forecast import AROUND, forecast
from searchlab.runner.home import Home
from searchlab.runner.watch import Nobody
from searchlab.spec.load import load_text

STUDY = """
study: planned
data: {source: digits}
task: image_classification
space:
  model: {cnn: {depth: {low: 1, high: 5}, width: 4}}
  optimizer: {adam: {learning_rate: {low: 1e-4, high: 1e-1, log: true}}, sgd: {learning_rate: 0.1}}
search: {trials: 12}
training: {epochs: 4, engine: fit}
execution: {workers: 2, keep_weights: 2}
"""


@pytest.mark.slow
def test_a_corner_that_cannot_be_trained_shows_beforehand(tmp_path: Path) -> None:
    spec = load_text(STUDY, file="s.yaml", folder=tmp_path)
    told = forecast(spec, Home(tmp_path), Nobody())
    names = [name for name, _ in told.costs]
    assert names == ["first guess", "cnn depth=1", "cnn depth=5"]  # whatever the optimizer
    ((name, fault),) = told.faults
    assert name == "cnn depth=5" and "infeasible" in fault
    trained = [cost for _, cost in told.costs if cost.fault is None]
    assert all(cost.next > 0 and cost.first >= cost.next and cost.weights > 0 for cost in trained)
    assert told.workers == 2 and told.choice.engine == "fit"
    assert told.seconds > AROUND + 6 * min(cost.next for cost in trained)
    assert told.disk == 4 * max(cost.weights for cost in trained) * (2 + 2 * 4 * 2)
    assert not (tmp_path / "optuna.db").exists()  # nothing is begun


@pytest.mark.slow
def test_of_a_space_in_which_nothing_can_be_trained_there_is_none(tmp_path: Path) -> None:
    spec = load_text(STUDY.replace("{low: 1, high: 5}", "{low: 5, high: 6}"), file="s.yaml", folder=tmp_path)
    told = forecast(spec, Home(tmp_path), Nobody())
    assert len(told.faults) == len(told.costs) and math.isnan(told.seconds)

"""Same seed, same study: twice over, with other numbers of workers, and cut in two by a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import searchlab
from searchlab.records import StudyResult

STUDY = """
study: seeded
data: {source: wine, split: {by: stratified, seed: 0}}
task: tabular_classification
space:
  model: {mlp: {depth: {low: 1, high: 2}, width: {per_layer: [8, 16]}, dropout: {low: 0.0, high: 0.5}}}
  optimizer:
    adam: {learning_rate: {low: 1e-3, high: 1e-1, log: true}}
    sgd: {learning_rate: {low: 1e-3, high: 1e-1, log: true}, momentum: {low: 0.0, high: 0.9}}
  training: {batch_size: 32}
search: {sampler: SAMPLER, pruner: successive_halving, objective: val_loss, trials: 4}
training: {epochs: 2}
execution: {executor: inline, workers: 1}
tracking: {enabled: false}
seed: 11
"""


def run(folder: Path, sampler: str, home: str, *overrides: str) -> StudyResult:
    (folder / "seeded.yaml").write_text(STUDY.replace("SAMPLER", sampler))
    return searchlab.load(folder / "seeded.yaml", *overrides).run(home=folder / home).study


def configurations(result: StudyResult) -> list[Any]:
    return [(record.trial.number, dict(record.trial.params.values), record.trial.seed) for record in result.trials]


def metrics(result: StudyResult) -> list[Any]:
    return [(record.state, record.value, dict(record.curve)) for record in result.trials]


@pytest.mark.parametrize("sampler", ["random", "{tpe: {startup_trials: 2}}"])
def test_one_worker_gives_the_same_numbers_twice_and_when_cut_in_two(tmp_path: Path, sampler: str) -> None:
    first, second = run(tmp_path, sampler, "a"), run(tmp_path, sampler, "b")
    assert configurations(first) == configurations(second)
    assert metrics(first) == metrics(second)
    run(tmp_path, sampler, "cut", "search.trials=3")
    cut = run(tmp_path, sampler, "cut")
    assert configurations(first) == configurations(cut)
    assert metrics(first) == metrics(cut)


def test_random_search_does_not_mind_how_many_workers(tmp_path: Path) -> None:
    alone = run(tmp_path, "random", "alone", "search.pruner=none")
    together = run(
        tmp_path, "random", "together", "search.pruner=none", "execution.executor=local", "execution.workers=2"
    )
    assert configurations(alone) == configurations(together)
    assert metrics(alone) == metrics(together)

"""Where there is nothing to learn, the sealed test set says so, whatever validation says (faults.md I1)."""

from __future__ import annotations

from pathlib import Path

import searchlab
from searchlab.reports.statistics import chance_interval


def test_shuffled_labels_score_chance(tmp_path: Path) -> None:
    handle = searchlab.load(
        "shuffled_labels",
        "search.trials=4",
        "search.pruner=none",
        "training.epochs=3",
        "execution.executor=inline",
        "execution.workers=1",
        "tracking.enabled=false",
    )
    result = handle.run(home=tmp_path)
    score = result.final_test()
    low, high = chance_interval(0.1, score.examples, confidence=0.99)
    assert low <= score.metrics["test_accuracy"] <= high
    assert result.best is not None and result.best.result is not None
    assert result.best.result.metrics["accuracy"] < 0.5, "three epochs are too few to memorise this much"

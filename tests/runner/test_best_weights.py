"""Which weights stay: those of the trials that `best_of` would name, in whatever order they end."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from searchlab.records import Direction, Objective, Trial, TrialRecord, TrialResult, best_of
from searchlab.runner.best_weights import BestWeights
from searchlab.space import Params


def ended(number: int, value: float, folder: Path) -> TrialRecord:
    path = folder / f"{number}.weights"
    path.write_text("weights")
    result = TrialResult(number, "complete", value, epochs=1, seconds=0.1, weights=str(path))
    return TrialRecord(Trial(number, Params({}), 0), "complete", value, result)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("values", [(0.5, 0.5, 0.5), (0.5, 0.7, 0.5), (0.7, 0.5, 0.7)])
def test_the_best_trial_has_its_weights_also_among_equals(
    direction: Direction, values: tuple[float, ...], tmp_path: Path
) -> None:
    for count in (1, 2):
        for order in permutations(range(3)):
            records = [ended(number, values[number], tmp_path) for number in range(3)]
            weights = BestWeights(count, direction)
            for number in order:
                weights.take(records[number])
            best = best_of(records, Objective("val", direction))
            assert best is not None and best.result is not None and weights.paths[0] == Path(str(best.result.weights))
            assert sorted(tmp_path.iterdir()) == sorted(weights.paths) and len(weights.paths) == count

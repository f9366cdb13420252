from __future__ import annotations

import pytest
from sample_records import record

from searchlab.records import Objective, StudyResult


@pytest.fixture
def result() -> StudyResult:
    records = (
        record(2, 0.93, **{"optimizer": "sgd", "optimizer.sgd.momentum": 0.9}),
        record(0, 0.90),
        record(1, 0.80, "pruned"),
        record(3, None, "failed"),
    )
    facts = {"data": "digits", "data_digest": "9a1c", "versions": {"keras": "3.15.1"}}
    return StudyResult("small", Objective("val_accuracy", "maximize"), records, 5, 7, 400, facts)

"""The lab, for all tests of faults."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from fault_lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A study on SQLite without tracking."""
    made = Lab(tmp_path)
    yield made
    made.close()


SAMPLE = (
    "A1_",
    "A12_",
    "schedule",
    "[segfault]",
    "A4_a_supervisor_killed_between_claim_and_tell_loses_nothing[result.spooled]",
    "[reap.released]",
    "SIGTERM",
    "[study.defined]",
    "B16_a_deleted_study_is_not_begun_anew_and_is_made_again_from_its_folder[run]",
    "D7_a_file_in_the_place",
    "E6_a_lost_gpu",
    "E9_",
)
"""What `make test` runs; `make faults` runs all."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is not in the sample, unless all are asked for."""
    if os.environ.get("SEARCHLAB_FAULTS") == "all":
        return
    for item in items:
        if item.path.parent == Path(__file__).parent and not any(words in item.name for words in SAMPLE):
            item.add_marker(pytest.mark.skip(reason="not in the sample; make faults runs it"))

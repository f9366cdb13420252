"""The order of all tests: files that take long come first, so that no process is left with one of them at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

LONG = (
    "test_readme",
    "test_chaos",
    "test_team",
    "test_canary_secrets",
    "test_interrupt",
    "test_same_seed",
    "test_digits_study",
    "test_frozen",
    "test_tracking_faults",
    "test_deaths",
    "test_engines_agree",
    "test_leases",
)
"""Half a minute or more each, on two cores; see `pytest --durations=60`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, in this order; all others as they were found."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(Path(str(item.path)).stem, len(LONG)))

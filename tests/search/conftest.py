"""No test leaves connections to the server open: whichever test comes next would be blamed for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from postgres import close_connections


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    """Those that the test's storages have made, until it ends."""
    yield
    close_connections()

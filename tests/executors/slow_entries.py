"""An entry that takes its time to load.  Not a test file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from searchlab.executors import Channel

SECONDS = 1.5


def load() -> None:
    """Take some time."""
    time.sleep(SECONDS)


def hello(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Say so."""
    channel.send("hello")
    channel.receive()

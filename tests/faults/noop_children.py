"""The `local` executor with children that load no Keras, for the engine `noop`.  Not a test file.

Everything else is what always runs: the fork server, `early.main`, `child.main` and its messages.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from searchlab import atomic
from searchlab.executors import Channel, Pool, Slot
from searchlab.executors.local import Local

DEVICES = "NOOP_DEVICES"
"""The environment variable that says which devices these children see."""


def load() -> None:
    """Put a stand-in where Keras would be; what the fork server does for all children."""
    if "searchlab.training.runtime" in sys.modules:
        return
    runtime = ModuleType("searchlab.training.runtime")
    runtime.versions = lambda: {"python": platform.python_version()}
    runtime.backend = lambda: "noop"
    runtime.device_names = lambda: tuple(os.environ.get(DEVICES, "cpu:0").split())
    sys.modules["searchlab.training.runtime"] = runtime
    from searchlab.runner import child

    child.finish = _finish


def main(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Be a child."""
    load()
    from searchlab.runner import early

    early.main(channel, setup)
    assert "keras" not in sys.modules, "a scripted child shall be a cheap one"


def _finish(order: Any, *rest: Any) -> Any:
    from searchlab.runner.messages import Finished

    atomic.write_bytes(Path(order.path), f"the model of trial {order.trial.number}".encode())
    return Finished(0.5, np.zeros((1, 2), np.float32), np.zeros((1, 3), np.float32))


class _Noop:
    def open(self, slots: Sequence[Slot], *, entry: str, setup: Mapping[str, Any], log_folder: str) -> Pool:
        from searchlab.runner import session

        session.finish = _finish  # where all children are dead by then
        return Local().open(slots, entry="noop_children:main", setup=setup, log_folder=log_folder)


EXECUTOR = _Noop()

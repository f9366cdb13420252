"""Load Keras without the backend's chatter about absent GPUs and CPU instructions, which no setting silences."""

from __future__ import annotations

import importlib
import os
import sys


def load_quietly() -> None:
    """Load Keras and let its backend look for devices; what native code says on stderr meanwhile is dropped.

    An error of the import itself is raised as ever.
    """
    if "keras" in sys.modules:
        return
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        importlib.import_module("keras").ops.zeros(1)  # the first tensor makes the backend look for devices
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)

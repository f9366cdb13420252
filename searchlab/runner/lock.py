"""One leader for each study and home: two would both write its report, its model and the end of its run in MLflow.

Others may help (`searchlab worker`): who trains which trial is settled by leases in the storage (`search/leases.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from searchlab.errors import StudyBusy


@contextlib.contextmanager
def only_one(folder: Path, study: str) -> Iterator[None]:
    """Hold the study's folder for this process; the system lets go of it when the process ends, however it ends.

    Raises:
        StudyBusy: Another process holds it; the message has its number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
            raise StudyBusy(
                f"study {study!r} is being run by process {holder}; help it with  searchlab worker {study},  wait for "
                "it, or give this one another name with --set study=NAME"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)

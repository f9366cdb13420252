"""Results on this machine's disk before the storage is told of them: a line each in the study's `results.jsonl`.

Whatever happens to the storage, what a trial came to is not lost: it is told again when the study is opened next.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from searchlab.records import TrialResult
from searchlab.search import encoding
from searchlab.search.study import Study

log = logging.getLogger(__name__)

FILE = "results.jsonl"


class Spool:
    """The file of one study; several processes may add to it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def put(self, result: TrialResult) -> None:
        """Add a result; it is on the disk when this returns, unless a warning says that the disk does not take it."""
        line = json.dumps({"trial": result.trial, "result": encoding.result_to_json(result)})
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, f"\n{line}\n".encode())  # after what a kill may have left of a line
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:  # the storage may be on another disk
            log.warning("%s does not take the result of trial %d: %s", self._path, result.trial, error)

    def results(self) -> Iterator[TrialResult]:
        """What was added, in order; lines that a kill or a disk has spoiled are left out."""
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for number, line in enumerate(lines, start=1):
            if line:
                try:
                    yield encoding.result_from_json(json.loads(line)["result"])
                except (ValueError, KeyError, TypeError):
                    log.warning("line %d of %s cannot be read", number, self._path)

    def tell(self, study: Study) -> int:
        """Tell the storage what it has not been told; how many results that were."""
        told = 0
        unfinished = {r.trial.number for r in study.records() if r.state in ("waiting", "running")}
        for result in self.results() if unfinished else ():
            if result.trial in unfinished:
                study.tell(result)
                unfinished.discard(result.trial)
                told += 1
        if told:
            log.warning("%d results that the storage had not got were told to it again", told)
        return told

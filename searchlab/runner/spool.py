"""Results on this machine's disk before the storage is told of them: a line each in the study's `results.jsonl`.

Whatever happens to the storage, what a trial came to is not lost: it is told again when the study is opened next.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from searchlab import atomic
from searchlab.records import ENDED, TrialResult
from searchlab.search import encoding
from searchlab.search.study import Study

log = logging.getLogger(__name__)

FILE = "results.jsonl"


class Spool:
    """The file of one study; several processes may add to it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def put(self, result: TrialResult, curve: Mapping[int, float] | None = None) -> None:
        """Add a result, and the objective after each epoch, of which the storage may lack the last.

        They are on the disk when this returns, unless a warning says that it does not take them.
        """
        points = sorted((curve or {}).items())
        line = json.dumps({"trial": result.trial, "curve": points, "result": encoding.result_to_json(result)})
        try:
            atomic.append(self._path, f"\n{line}\n")  # after what a kill may have left of a line
        except OSError as error:  # the storage may be on another disk
            log.warning("%s does not take the result of trial %d: %s", self._path, result.trial, error)

    def entries(self) -> Iterator[tuple[TrialResult, list[tuple[int, float]]]]:
        """Results with their curves, as they were added; lines that a kill or a disk has spoiled are left out."""
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for number, line in enumerate(lines, start=1):
            if line:
                try:
                    content = json.loads(line)
                    points = [(int(epoch), float(value)) for epoch, value in content.get("curve", ())]
                    yield encoding.result_from_json(content["result"]), points
                except (ValueError, KeyError, TypeError):
                    log.warning("line %d of %s cannot be read", number, self._path)

    def tell(self, study: Study) -> tuple[int, ...]:
        """Tell the storage what it has not been told; the trials whose results that were."""
        told: list[int] = []
        unfinished = {r.trial.number for r in study.records() if r.state not in ENDED}
        for result, curve in self.entries() if unfinished else ():
            if result.trial in unfinished and study.record(result.trial).state not in ENDED:
                study.judge([(result.trial, epoch, value) for epoch, value in curve])
                if study.tell(result):
                    told.append(result.trial)
                unfinished.discard(result.trial)
        if told:
            log.warning("%d results that the storage had not got were told to it again", len(told))
        return tuple(told)

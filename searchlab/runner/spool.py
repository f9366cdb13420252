"""Results on this machine's disk before the storage is told of them: a line each in the study's `results.jsonl`.

Whatever happens to the storage, what a trial came to is not lost: it is told again when the study is opened next.
Lines are never removed, and each says which study and which configuration it is of.  So they also show when the storage
has lost what it knew (an older copy was put back, or somebody deleted trials), and a study can be made again from them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchlab import atomic
from searchlab.errors import StudyConflict
from searchlab.records import Trial, TrialResult
from searchlab.search import encoding
from searchlab.search.study import Study

log = logging.getLogger(__name__)

FILE = "results.jsonl"


@dataclass(frozen=True)
class Kept:
    """One line."""

    result: TrialResult
    curve: tuple[tuple[int, float], ...]
    """The objective after each epoch."""
    trial: Trial | None
    """What was trained."""


class Spool:
    """The file of one study; several processes may add to it."""

    def __init__(self, folder: Path, uid: str | None = None) -> None:
        """`uid` is the study's; lines of an earlier one of that name are left out.  None takes all."""
        self._path = folder / FILE
        self._uid = uid

    def put(self, result: TrialResult, curve: Mapping[int, float] | None = None, trial: Trial | None = None) -> None:
        """Add a result, the objective after each epoch, of which the storage may lack the last, and what was trained.

        They are on the disk when this returns, unless a warning says that it does not take them.
        """
        content: dict[str, Any] = {"study": self._uid, "trial": result.trial, "curve": sorted((curve or {}).items())}
        if trial is not None:
            content["trained"] = {**encoding.trial_to_json(trial), "attempt": trial.attempt}
        line = json.dumps({**content, "result": encoding.result_to_json(result)})
        try:
            atomic.append(self._path, f"\n{line}\n")  # after what a kill may have left of a line
        except OSError as error:  # the storage may be on another disk
            log.warning("%s does not take the result of trial %d: %s", self._path, result.trial, error)

    def kept(self) -> Iterator[Kept]:
        """What was added, in that order; lines that a kill or a disk has spoiled are left out."""
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for number, line in enumerate(lines, start=1):
            if line:
                try:
                    content = json.loads(line)
                    found = _kept(content) if self._uid in (None, content.get("study")) else None
                except (ValueError, KeyError, TypeError):
                    log.warning("line %d of %s cannot be read", number, self._path)
                    continue
                if found is not None:
                    yield found

    def tell(self, study: Study) -> int:
        """Tell the storage what it has not been told; how many results that were.

        Raises:
            StudyConflict: The storage lacks trials that have ended here, so it is not what it was; nothing is told.
        """
        stored, told = study.stored(), 0
        news: dict[int, Kept] = {}
        lost: set[int] = set(range(len(stored))) - set(stored)
        for entry in self.kept():
            number = entry.result.trial
            if number not in stored:
                lost.add(number)
                continue
            params, has_ended = stored[number]
            if entry.trial is not None and params.values and params != entry.trial.params:
                log.warning(
                    "%s has a result of trial %d with other parameters than the stored ones", self._path, number
                )
            elif not has_ended and params.values:
                news.setdefault(number, entry)
        if lost:
            raise StudyConflict(
                f"the storage lacks trials of {study.name!r} that it has had ({_listed(lost)}): an older copy of it "
                "was put back, or they were deleted in it. Nothing was changed. Put the newest copy back, or have it "
                f"told what {self._path} keeps:  searchlab restore {study.name}"
            )
        for number, entry in news.items():
            study.judge([(number, epoch, value) for epoch, value in entry.curve])
            study.tell(entry.result)
            told += 1
        if told:
            log.warning("%d results that the storage had not got were told to it again", told)
        return told


def _kept(content: Mapping[str, Any]) -> Kept:
    trained = content.get("trained")
    number = int(content["trial"])
    return Kept(
        encoding.result_from_json(content["result"]),
        tuple((int(epoch), float(value)) for epoch, value in content.get("curve", ())),
        None if trained is None else encoding.trial_from_json(trained, number=number, attempt=int(trained["attempt"])),
    )


def _listed(numbers: set[int]) -> str:
    """`3, 5, 6, …`."""
    first = ", ".join(map(str, sorted(numbers)[:5]))
    return f"{first}, … {len(numbers)} in all" if len(numbers) > 5 else first

"""Results on this machine's disk before the storage is told of them: a line each in the study's `results.jsonl`.

Whatever happens to the storage, what a trial came to is not lost: it is told again when the study is opened next.
Lines are never removed, and each says which study and which configuration it is of.  So they also show when the storage
has lost what it knew (an older copy was put back, or somebody deleted trials), and a study can be made again from them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchlab import atomic
from searchlab.errors import StudyConflict
from searchlab.records import ENDED, Trial, TrialResult
from searchlab.search import encoding
from searchlab.search.study import Study

log = logging.getLogger(__name__)

FILE = "results.jsonl"

RESERVE = "results.reserve"
"""A file of newlines that is as large as it will ever be: results that the disk has no room for are written over them.

Not a file to be removed for the room that it takes: what children log and keep would have that room first.
"""

SIZE = 512 << 10
"""Its bytes: a hundred results or more."""

FULL = (errno.ENOSPC, errno.EDQUOT)


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
            self._append(f"\n{line}\n")  # after what a kill may have left of a line
        except OSError as error:  # the storage may be on another disk
            log.warning("%s does not take the result of trial %d: %s", self._path, result.trial, error)

    def reserve(self) -> None:
        """Take the room that results will need on a full disk, as far as there is any; give what is in it its place."""
        try:
            with self._reserve.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(0)
                content = file.read().strip(b"\n")
                if content:
                    atomic.append(self._path, f"\n{content.decode()}\n")
                file.truncate(0)
                file.write(b"\n" * SIZE)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            log.debug("no room is reserved for results: %s", error)

    @property
    def _reserve(self) -> Path:
        return self._path.with_name(RESERVE)

    def _append(self, text: str) -> None:
        try:
            atomic.append(self._path, text)
        except OSError as error:
            if error.errno not in FULL or not self._reserve.exists():
                raise
            log.warning("the disk of %s is full; results take the room that was reserved for them", self._path)
            self._write_over(text.encode())

    def _write_over(self, content: bytes) -> None:
        with self._reserve.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            there = file.read()
            used = len(there.rstrip(b"\n"))
            if used + len(content) > len(there):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._reserve))
            file.seek(used)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def kept(self) -> Iterator[Kept]:
        """What was added, in that order; lines that a kill or a disk has spoiled are left out."""
        for number, line in enumerate(self._lines(), start=1):
            if line:
                try:
                    content = json.loads(line)
                    found = _kept(content) if self._uid in (None, content.get("study")) else None
                except (ValueError, KeyError, TypeError):
                    log.warning("line %d of %s cannot be read", number, self._path)
                    continue
                if found is not None:
                    yield found

    def _lines(self) -> Iterator[str]:
        for path in (self._path, self._reserve):
            with contextlib.suppress(FileNotFoundError):
                yield from path.read_text(encoding="utf-8", errors="replace").splitlines()

    def tell(self, study: Study) -> tuple[int, ...]:
        """Tell the storage what it has not been told; the trials whose results that were.

        Raises:
            StudyConflict: The storage lacks trials that have ended here, so it is not what it was; nothing is told.
        """
        stored = study.stored()
        told: list[int] = []
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
            if study.record(number).state in ENDED:  # elsewhere, meanwhile
                continue
            study.judge([(number, epoch, value) for epoch, value in entry.curve])
            if study.tell(entry.result):
                told.append(number)
        if told:
            log.warning("%d results that the storage had not got were told to it again", len(told))
        return tuple(told)


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

"""The steps of one session on the disk, one a line, from the moment they are handed in until MLflow has them.

A process that is killed loses none of them: its lock on the file goes with it, and the next session of the study, or
`searchlab sync`, delivers what is left.  How far a journal was delivered stands in a file beside it; a kill between
sending and noting that repeats some steps, which does no harm.  A journal that was delivered stays, compressed: it is
what MLflow can be made again from.

Why files and not an SQLite queue: a line costs 20 µs where a transaction costs a thousand, two processes never share
one, and what a disk or a kill has spoiled is one line.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from searchlab import atomic
from searchlab.tracking.mlflow.steps import Step, from_line, to_line

log = logging.getLogger(__name__)

BATCH = 2000
"""Most steps in one go, so that progress is kept when the store fails half-way through a backlog."""
BATCH_BYTES = 8 << 20
"""Of lines; a longer line goes alone."""
PIECE = 1 << 20

OPEN, SENT, PACKED, REFUSED = ".jsonl", ".sent", ".jsonl.gz", ".refused"


@dataclass(frozen=True)
class Batch:
    """Some steps, in the order they were handed in."""

    steps: Sequence[Step]
    spoiled: Sequence[bytes]
    """Lines among them that cannot be read."""
    count: int
    """Lines that this ends."""
    end: int | None
    """The place in the file behind them; None for steps that the disk has no room for."""


@dataclass
class Story:
    """What journals tell of their sessions."""

    open: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The runs of trials that were begun and not ended, as (trial, attempt)."""
    ended: set[str] = field(default_factory=set)
    """The runs of trials that were ended."""
    led: set[str] = field(default_factory=set)
    """The sessions that led the study and did not write down that its own run has ended."""

    def hear(self, steps: Iterable[Step]) -> None:
        """Take in the steps of one session."""
        session, leads, study = "", False, ""
        begun = set[str]()
        for step in steps:
            if step.kind == "session":
                session, leads, study = step.body["id"], step.body["leads"], step.run
            elif step.run == study:
                if step.kind == "end":
                    self.led.discard(session)
                elif leads and step.kind in ("begin", "resume"):
                    self.led.add(session)
            elif step.kind == "begin":
                begun.add(step.run)
                tags = step.body["tags"]
                self.open[step.run] = int(tags["searchlab.trial"]), int(tags["searchlab.attempt"])
            elif step.kind == "end" and (step.run in begun or not step.body.get("only_running")):
                self.ended.add(step.run)  # another session's "if it still runs" may have come before it began

    def left(self) -> tuple[tuple[int, int], ...]:
        """The (trial, attempt) that were begun and whose end nobody wrote down."""
        return tuple(sorted(trial for run, trial in self.open.items() if run not in self.ended))


class Journal:
    """A file that one process at a time holds; see the head of this module."""

    def __init__(self, path: Path, handle: int | None) -> None:
        """Use `begin` or `claim`.  Without a `handle` everything stays in memory."""
        self.path = path
        self._handle = handle
        self._lock = threading.Lock()
        self._size = 0 if handle is None else os.fstat(handle).st_size
        self._done = 0
        self._in_file = 0
        self._held: list[Step] = []
        self._is_closed = False

    @classmethod
    def begin(cls, folder: Path, header: Step) -> Journal:
        """A new one; one in memory alone where the disk does not take it."""
        path = folder / f"{time.time_ns():020d}-{os.getpid()}{OPEN}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            log.warning("records for MLflow cannot be kept in %s, only in memory: %s", path, error)
            return cls(path, None)
        made = cls(path, handle)
        made.append([header])
        return made

    @classmethod
    def claim(cls, path: Path) -> Journal | None:
        """One that a session has left behind; None when a living one holds it, or it is gone."""
        try:
            handle = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists():  # another one was quicker, delivered and packed it
                raise FileNotFoundError
            _cut(handle)
        except OSError:
            os.close(handle)
            return None
        found = cls(path, handle)
        found._done = min(_sent(path), found._size)
        found._in_file = sum(1 for _ in _lines(handle, found._done, found._size))
        return found

    @property
    def waiting(self) -> int:
        """How many lines are left to deliver."""
        return self._in_file + len(self._held)

    @property
    def unkept(self) -> int:
        """How many of them are in memory alone."""
        return len(self._held)

    def append(self, steps: Iterable[Step]) -> None:
        """Hand in; what the disk has no room for waits in memory, and for room."""
        with self._lock:
            self._held += steps
            if self._is_closed or self._handle is None or not self._held:
                return
            content = b"".join(map(to_line, self._held))
            try:
                _write(self._handle, content)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._handle, self._size)
                log.warning("records for MLflow wait in memory: %s: %s", self.path, error)
                return
            self._size += len(content)
            self._in_file += len(self._held)
            self._held = []

    def sync(self) -> None:
        """Have the disk itself hold what was handed in."""
        with contextlib.suppress(OSError):
            if self._handle is not None:
                os.fdatasync(self._handle)

    def batch(self) -> Batch:
        """What comes next."""
        with self._lock:
            if self._done >= self._size or self._handle is None:
                held = self._held[:BATCH]
                return Batch(held, (), len(held), None)
            size = self._size
        steps, spoiled, end = list[Step](), list[bytes](), self._done
        for line in _lines(self._handle, self._done, size):
            if end > self._done and end + len(line) - self._done > BATCH_BYTES:
                break
            end += len(line)
            try:
                steps.append(from_line(line))
            except (ValueError, KeyError, TypeError):
                spoiled.append(line)
            if len(steps) + len(spoiled) == BATCH:
                break
        return Batch(steps, spoiled, len(steps) + len(spoiled), end)

    def sent(self, batch: Batch, refused: Sequence[Step] = ()) -> None:
        """The store has them, but for those that it will never take: these go to a file of their own."""
        lines = [*batch.spoiled, *map(to_line, refused)]
        with self._lock:
            if self._is_closed:
                return
            with contextlib.suppress(OSError):
                if lines:
                    atomic.append(self.path.with_suffix(REFUSED), b"".join(lines).decode(errors="replace"), mode=0o600)
            if batch.end is None:
                del self._held[: batch.count]
                return
            self._done = batch.end
            self._in_file -= batch.count
            with contextlib.suppress(OSError):
                note = os.open(self.path.with_suffix(SENT), os.O_WRONLY | os.O_CREAT, 0o600)
                try:
                    os.pwrite(note, b"%020d" % self._done, 0)
                finally:
                    os.close(note)

    def steps(self) -> Iterator[Step]:
        """What it holds, from its beginning, but for what was spoiled."""
        if self._handle is not None:
            for line in _lines(self._handle, 0, self._size):
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    yield from_line(line)

    def close(self) -> None:
        """Let go of it, and pack it when everything was delivered."""
        self.append(())
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            if self._handle is None:
                return
            with contextlib.suppress(OSError):  # it stays as it is then, and the next one tries
                os.fdatasync(self._handle)
                if self._done >= self._size and not self._held:
                    _pack(self.path)
            os.close(self._handle)


def steps_of(path: Path, *, delivered: bool = False) -> Iterator[Step | None]:
    """Every step of a journal, packed or not, or those that were delivered; None for each line that cannot be read."""
    is_packed = path.name.endswith(PACKED)
    left = _sent(path) if delivered and not is_packed else None
    with gzip.open(path, "rb") if is_packed else path.open("rb") as file:
        while left is None or left > 0:
            try:
                line = file.readline()
            except (OSError, EOFError):  # the packed file is damaged from here on
                yield None
                return
            if not line.endswith(b"\n"):
                return
            left = left and left - len(line)
            try:
                step = from_line(line)
            except (ValueError, KeyError, TypeError):
                yield None
            else:
                yield step


def waiting_in(path: Path) -> int:
    """How many lines of an unpacked journal are left to deliver, whoever holds it."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return 0
    try:
        return sum(1 for _ in _lines(handle, _sent(path), os.fstat(handle).st_size))
    finally:
        os.close(handle)


def _sent(path: Path) -> int:
    """How far a journal was delivered; the beginning where that cannot be told."""
    try:
        return int(path.with_suffix(SENT).read_text())
    except (OSError, ValueError):
        return 0


def _write(handle: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


def _lines(handle: int, start: int, end: int) -> Iterator[bytes]:
    """The lines between two places."""
    rest = b""
    while start < end:
        piece = os.pread(handle, min(PIECE, end - start), start)
        if not piece:
            return
        start += len(piece)
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in whole)


def _cut(handle: int) -> None:
    """Take away a last line that a kill has cut off."""
    size = end = os.fstat(handle).st_size
    while end > 0:
        start = max(0, end - PIECE)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        end = start + found + 1 if found >= 0 else start
        if found >= 0:
            break
    if end < size:
        os.ftruncate(handle, end)


def _pack(path: Path) -> None:
    """Compress it; whoever looks finds one of the two files, or both with the same content."""

    def write(temporary: Path) -> None:
        with path.open("rb") as lines, gzip.open(temporary, "wb", compresslevel=6) as packed:
            while piece := lines.read(PIECE):
                packed.write(piece)

    atomic.write_with(path.with_suffix(PACKED), write)
    path.unlink()
    path.with_suffix(SENT).unlink(missing_ok=True)

"""The ledger of a sealed test set: one JSON line an event, each bound to the one before by its hash.

    {"entry": 1, "event": "opened", "opening": 1, …, "previous": "", "hash": "9f2c…"}
    {"entry": 2, "event": "scored", "opening": 1, …, "previous": "9f2c…", "hash": "41d0…"}

A changed, removed or moved line breaks the chain.  A chain cannot tell that its end was cut off, so the newest hash
also stands in a witness file beside the sealed rows; whoever deletes the ledger must find that one, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from searchlab.atomic import write_json
from searchlab.data.digest import of_values
from searchlab.errors import SealBroken


@dataclass(frozen=True)
class Entry:
    """One event in the life of a sealed test set."""

    entry: int
    """Counts from 1."""
    event: str
    """"opened"; "continued", the same candidate after a crash; "scored"."""
    opening: int
    """Which opening of this data the event belongs to, from 1."""
    when: str
    """UTC, ISO 8601; never before the entry above it, whatever the clock says."""
    who: str
    host: str
    """A hash of the machine's name."""
    study: str
    trial: int
    candidate: str
    """Digest of the model and its configuration."""
    commit: str | None
    """The git commit of the working folder, with "+" when it has changes; None outside of git."""
    data: str
    """Digest of the search data."""
    rows: str
    """Digest of the test rows."""
    reason: str | None = None
    """Why the seal was opened another time."""
    metrics: Mapping[str, float | str] = field(default_factory=dict)
    """The score; numbers that are not finite as words."""


class Ledger:
    """The entries in the file `path`, whose newest hash the file `witness` knows.

    Use `with ledger.locked():` around reading and appending; another process waits so long.
    """

    def __init__(self, path: Path, witness: Path) -> None:
        self.path = path
        self._witness = witness

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes (and other objects of this one) out; a dead process lets go."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def entries(self) -> tuple[Entry, ...]:
        """All entries, after the whole chain was checked.

        Raises:
            SealBroken: The ledger is not what was written.
        """
        lines = self._lines()
        entries: list[Entry] = []
        previous = ""
        for number, line in enumerate(lines, start=1):
            try:
                values = json.loads(line)
                link, stated = values.pop("previous"), values.pop("hash")
                entry = Entry(**values)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise SealBroken(f"{self.path}:{number}: this is no entry of a ledger; it was changed.") from error
            in_order = entry.entry == number and (not entries or entry.when >= entries[-1].when)
            if link != previous or stated != _hash(entry, previous) or not in_order:
                raise SealBroken(
                    f"{self.path}:{number}: this entry was changed, or one before it was removed or moved. "
                    "The test score cannot be trusted any more; restore the ledger from a copy."
                )
            entries.append(entry)
            previous = stated
        self._compare(lines)
        return tuple(entries)

    def append(self, entry: Entry) -> None:
        """Write `entry`; when this returns it is on disk, and in the witness."""
        lines = self._lines()
        previous = json.loads(lines[-1])["hash"] if lines else ""
        digest = _hash(entry, previous)
        line = json.dumps({**asdict(entry), "previous": previous, "hash": digest}, sort_keys=True, allow_nan=False)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+b") as file:
            file.truncate(sum(len(kept.encode()) + 1 for kept in lines))  # what a crash left of a half-written line
            file.seek(0, os.SEEK_END)
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        write_json(self._witness, {**self._witnessed(), self._name(): {"entries": len(lines) + 1, "hash": digest}})

    def _lines(self) -> list[str]:
        """The whole lines; what follows the last line break was never finished, so no row was read after it."""
        if not self.path.exists():
            return []
        try:
            return self.path.read_bytes().decode().split("\n")[:-1]
        except UnicodeDecodeError as error:
            raise SealBroken(f"{self.path} is not a ledger any more ({error}).") from error

    def _compare(self, lines: list[str]) -> None:
        known = self._witnessed().get(self._name())
        if known is None:
            return
        if len(lines) < known["entries"] or json.loads(lines[known["entries"] - 1])["hash"] != known["hash"]:
            raise SealBroken(
                f"{self.path} has {len(lines)} entries, but at least {known['entries']} were written, the last with "
                f"hash {known['hash'][:12]}…; entries were removed. Restore the ledger from a copy."
            )

    def _witnessed(self) -> dict[str, Any]:
        if not self._witness.exists():
            return {}
        try:
            found: dict[str, Any] = json.loads(self._witness.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SealBroken(f"{self._witness}, which guards the ledger, was damaged ({error}).") from error
        return found

    def _name(self) -> str:
        """The ledger as the witness calls it; relative, so that a store can be moved."""
        return os.path.relpath(self.path.resolve(), self._witness.parent.resolve())


def _hash(entry: Entry, previous: str) -> str:
    return of_values({**asdict(entry), "previous": previous})

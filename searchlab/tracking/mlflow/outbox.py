"""Steps that could not be delivered: a file of one step a line, from which `searchlab sync` delivers them.

A delivery takes the file away (`.sending`), so that others begin a new one meanwhile, and puts back what is left.  One
that is killed leaves the taken file, which the next one begins with: steps may be done twice without harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from searchlab import atomic
from searchlab.tracking import Delivery
from searchlab.tracking.mlflow.places import reason_of
from searchlab.tracking.mlflow.steps import Step, from_line, to_line
from searchlab.tracking.mlflow.store import Store

FILE = "outbox.jsonl"
"""In the home folder."""

BATCH = 2000
"""Most steps in one go, so that progress is kept when the store fails half-way through a backlog."""


class Outbox:
    """The file, shared by all processes of a home."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sending = path.with_suffix(".sending")
        self._refused = path.with_suffix(".refused")

    def add(self, steps: Iterable[Step], experiment: str) -> None:
        """Keep `steps`; they are on the disk when this returns."""
        with atomic.alone(self.path.with_suffix(".lock")):
            _append(self.path, (to_line(step, experiment) for step in steps))

    def deliver(self, connect: Callable[[], Store], experiment: str) -> Delivery:
        """Deliver what is kept for `experiment`; what is refused for good goes to a file of its own.

        Nothing is connected to where nothing is kept.  Other experiments' steps stay, and so does what a store out of
        reach did not take.
        """
        with atomic.alone(self.path.with_suffix(".sending-lock")):
            with atomic.alone(self.path.with_suffix(".lock")):
                if self.path.exists():
                    lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
                    _append(self._sending, lines)
                    self.path.unlink()
            return self._send(connect, experiment)

    def _send(self, connect: Callable[[], Store], experiment: str) -> Delivery:
        mine, others, spoiled = _sorted(self._sending, experiment)
        if spoiled:
            _append(self._refused, spoiled)
        delivered, refused, reason = 0, 0, ""
        try:
            store = connect() if mine else None
            while mine and store is not None:
                batch = mine[:BATCH]
                lost = store.write(batch)
                _append(self._refused, (to_line(step, experiment) for step, _ in lost))
                reason = lost[-1][1] if lost else reason
                refused += len(lost)
                delivered += len(batch) - len(lost)
                mine = mine[BATCH:]
        except Exception as error:  # whatever MLflow, requests or SQLAlchemy raise
            reason = reason_of(error)
        left = [*others, *(to_line(step, experiment) for step in mine)]
        if left:
            atomic.write_text(self._sending, "".join(f"{line}\n" for line in left))
        else:
            self._sending.unlink(missing_ok=True)
        kept = self._sending if mine else self._refused if refused or spoiled else None
        return Delivery(
            delivered=delivered,
            undelivered=len(mine),
            refused=refused + len(spoiled),
            kept_in=None if kept is None else str(kept),
            reason=reason or ("lines that cannot be read" if spoiled else ""),
        )


def _sorted(path: Path, experiment: str) -> tuple[list[Step], list[str], list[str]]:
    """The steps of `experiment`, the lines of others, and lines that a kill or a disk has spoiled."""
    mine: list[Step] = []
    others: list[str] = []
    spoiled: list[str] = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    for line in filter(None, lines):
        try:
            step, whose = from_line(line)
        except (ValueError, KeyError, TypeError):
            spoiled.append(line)
            continue
        if whose == experiment:
            mine.append(step)
        else:
            others.append(line)
    return mine, others, spoiled


def _append(path: Path, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    if text:
        atomic.append(path, text, mode=0o600)

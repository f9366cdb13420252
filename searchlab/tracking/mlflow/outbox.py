"""The journals of a study on this machine: those that sessions have left behind, and those that MLflow has.

outbox/STUDY_UID/TIME-PROCESS.jsonl      handed in; held by the session that writes it, or left behind
outbox/STUDY_UID/TIME-PROCESS.jsonl.gz   delivered
outbox/STUDY_UID/TIME-PROCESS.refused    lines of it that MLflow would not take, or that were damaged
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from searchlab.errors import StudyConflict
from searchlab.tracking.mlflow.journal import OPEN, PACKED, REFUSED, Journal, steps_of, waiting_in
from searchlab.tracking.mlflow.steps import Step

FOLDER = "outbox"
"""In the home folder."""


class Outbox:
    """The folder of one study."""

    def __init__(self, home: Path, study_uid: str) -> None:
        self.folder = home / FOLDER / study_uid

    def begin(self, header: Step) -> Journal:
        """A new journal."""
        return Journal.begin(self.folder, header)

    def left(self) -> list[Journal]:
        """Those whose sessions are gone, oldest first; they are held from now on."""
        return [journal for path in self._paths(OPEN) if (journal := Journal.claim(path)) is not None]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold every journal, while what they tell is written again.

        Raises:
            StudyConflict: A living session holds one.
        """
        held = self.left()
        try:
            if len(held) < len(self._paths(OPEN)):
                raise StudyConflict("a process of this machine works on this study; wait for its end")
            yield
        finally:
            for journal in held:
                journal.close()

    def waiting(self) -> int:
        """How many steps are still to be delivered."""
        return sum(waiting_in(path) for path in self._paths(OPEN))

    def steps(self, *, delivered: bool = False) -> Iterator[Step | None]:
        """Every step that was handed in here, or that was delivered, oldest first; None for a line that is spoiled."""
        seen = set()
        for path in sorted([*self._paths(PACKED), *self._paths(OPEN)]):
            name = path.name.partition(".")[0]
            if name not in seen:  # a kill while packing leaves both
                seen.add(name)
                yield from steps_of(path, delivered=delivered)

    def refused(self) -> list[Path]:
        """The files of what MLflow would not take."""
        return self._paths(REFUSED)

    def _paths(self, suffix: str) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"[0-9]*{suffix}"))

"""The journals of a study on this machine: those that sessions have left behind, and those that MLflow has.

outbox/STUDY_UID/TIME-PROCESS.jsonl      handed in; held by the session that writes it, or left behind
outbox/STUDY_UID/TIME-PROCESS.jsonl.gz   delivered
outbox/STUDY_UID/TIME-PROCESS.refused    lines of it that MLflow would not take, or that were damaged
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from searchlab.tracking.mlflow.journal import OPEN, PACKED, REFUSED, Journal, steps_of
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

    def steps(self) -> Iterator[Step | None]:
        """Every step that was ever handed in here, oldest first; None for each line that cannot be read."""
        seen = set()
        for path in sorted([*self._paths(PACKED), *self._paths(OPEN)]):
            name = path.name.partition(".")[0]
            if name not in seen:  # a kill while packing leaves both
                seen.add(name)
                yield from steps_of(path)

    def refused(self) -> list[Path]:
        """The files of what MLflow would not take."""
        return self._paths(REFUSED)

    def _paths(self, suffix: str) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"[0-9]*{suffix}"))

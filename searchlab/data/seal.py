"""The seal on the test rows: opened once, for one candidate, and written down before the first row is read.

Why a ledger and not a flag: a test set that is looked at twice is a second validation set (Dwork et al. 2017,
doi:10.1145/3051088).  Looking again is allowed to those who say why, and every report afterwards counts it.
Why not encryption: the key would lie beside the lock.  The seal guards against accidents and makes intent visible.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from searchlab.data import Examples
from searchlab.data.digest import of_examples
from searchlab.data.folders import read_examples
from searchlab.data.ledger import Entry, Ledger
from searchlab.errors import DataError, SealBroken

WITNESS = "openings.json"


class SealedTest:
    """The test examples in `sealed_folder`, behind a seal whose history stands in the file `ledger`."""

    def __init__(self, sealed_folder: str | Path, ledger: str | Path) -> None:
        self._folder = Path(sealed_folder)
        self._ledger = Ledger(Path(ledger), self._folder / WITNESS)
        self._opened: Entry | None = None

    def open(self, *, study: str, trial: int, candidate_digest: str, reason: str | None = None) -> Examples:
        """The test examples, for the score of this candidate alone.

        A candidate whose evaluation was cut off before `record_score` may open again; that is the same opening.
        `reason` opens the seal another time, for any candidate.

        Raises:
            SealBroken: The seal was opened before and there is no reason, or the ledger was changed.
            DataError: The test rows are missing or not those that were sealed.
        """
        meta = self._meta()
        why = (reason or "").strip() or None
        with self._ledger.locked():
            entries = self._ledger.entries()
            mine = self._mine(entries)
            last = mine[-1] if mine else None
            wanted = Entry(
                entry=len(entries) + 1,
                event="opened",
                opening=last.opening + 1 if last else 1,
                when=_now(entries),
                who=_user(),
                host=hashlib.sha256(platform.node().encode()).hexdigest()[:12],
                study=study,
                trial=trial,
                candidate=candidate_digest,
                commit=_commit(),
                data=self._folder.name,
                rows=meta["digest"],
                reason=why,
            )
            if last is None:
                entry = wanted
            elif last.event != "scored" and _candidate(last) == _candidate(wanted):
                entry = replace(wanted, event="continued", opening=last.opening, reason=why or last.reason)
            elif why is None:
                raise SealBroken(_refusal(last))
            else:
                entry = wanted
            self._ledger.append(entry)
        self._opened = entry
        examples = read_examples(self._folder, "test", meta["arrays"], check=True)
        if of_examples(examples) != meta["digest"]:
            raise DataError(f"the test rows in {self._folder} are not those that were sealed.")
        return examples

    def record_score(self, metrics: Mapping[str, float]) -> None:
        """Write down what the opening gave; the opening is over with this.

        Raises:
            SealBroken: The seal was not opened by this object, or its score is recorded already.
        """
        if self._opened is None:
            raise SealBroken("there is no open seal to record a score for; call `open` first.")
        with self._ledger.locked():
            entries = self._ledger.entries()
            if any(entry.event == "scored" and entry.opening == self._opened.opening for entry in self._mine(entries)):
                raise SealBroken(f"opening {self._opened.opening} of the test set has its score already.")
            scored = {name: value if math.isfinite(value) else str(value) for name, value in metrics.items()}
            entry = replace(self._opened, entry=len(entries) + 1, event="scored", when=_now(entries), metrics=scored)
            self._ledger.append(entry)
        self._opened = None

    def openings(self) -> int:
        """How often the seal of these test rows was opened, by this ledger.

        Raises:
            SealBroken: The ledger was changed.
        """
        return max((entry.opening for entry in self.history()), default=0)

    def history(self) -> tuple[Entry, ...]:
        """Every event of these test rows, the oldest first.

        Raises:
            SealBroken: The ledger was changed.
        """
        with self._ledger.locked():
            return self._mine(self._ledger.entries())

    def duplicates_of_search(self) -> int:
        """How many test examples have the same inputs as a training or validation example; known once opened.

        Raises:
            SealBroken: The seal was never opened, or the ledger was changed.
        """
        if not self.openings():
            raise SealBroken("the seal is closed; what lies behind it is known after the final test.")
        return int(self._meta()["duplicates_of_search"])

    def _mine(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(entry for entry in entries if entry.data == self._folder.name)

    def _meta(self) -> dict[str, Any]:
        """What is known of the test rows without reading them."""
        try:
            meta: dict[str, Any] = json.loads((self._folder / "meta.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"no sealed test rows can be read in {self._folder} ({error}).") from error
        return meta


def _refusal(last: Entry) -> str:
    ending = (
        "and scored " + ", ".join(f"{name} {_short(value)}" for name, value in sorted(last.metrics.items()))
        if last.event == "scored"
        else "and not finished"
    )
    return (
        f"the test set was opened before: opening {last.opening}, by {last.who} on {last.when}, for trial "
        f"{last.trial} of study {last.study!r}, {ending}. A second look makes it a validation set. "
        'If you must: --reopen "reason", which every later report prints.'
    )


def _candidate(entry: Entry) -> tuple[str, int, str, str]:
    return entry.study, entry.trial, entry.candidate, entry.rows


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _now(entries: tuple[Entry, ...]) -> str:
    """The time in UTC; not before the last entry, in case the clock was set back."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return max(now, entries[-1].when) if entries else now


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        return f"uid {os.getuid()}"


def _commit() -> str | None:
    """The git commit of the working folder, with "+" when files were changed since; None outside of a checkout."""
    try:
        commit, changed = (
            subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")

"""One line of what `searchlab doctor` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do where it is not well."""

    grade: Literal["good", "note", "bad"]
    subject: str
    words: str

"""Lines of text on a console, with the first one bold."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from searchlab.plain import printable


def duration(seconds: float) -> str:
    """`0.042 s`, `3.1 s`, `75 s`, `12 min`, `3.5 h`: two digits that matter."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def say(console: Console, lines: Sequence[str]) -> None:
    """Print `lines`; no markup is read in them, so names from outside cannot colour or link anything."""
    for number, line in enumerate(lines):
        console.print(Text(printable(line), style="bold" if number == 0 else ""), soft_wrap=not console.is_terminal)


def page(place: str) -> str:
    """Where to look at a page of MLflow; `place` of an embedded store is the part after the host."""
    return f"http://127.0.0.1:5000{place}   while this runs: searchlab ui" if place.startswith("/") else place

"""Lines of text on a console, with the first one bold."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text


def say(console: Console, lines: Sequence[str]) -> None:
    """Print `lines`; no markup is read in them, so names from outside cannot colour or link anything."""
    for number, line in enumerate(lines):
        console.print(Text(line, style="bold" if number == 0 else ""), soft_wrap=not console.is_terminal)

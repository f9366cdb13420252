"""Texts from outside in places that would take some of their characters for orders: terminals and Markdown."""

from __future__ import annotations

import re


def printable(text: str) -> str:
    """`text` in one line without control characters."""
    return "".join(c if c.isprintable() else " " for c in text)


def markdown(text: str) -> str:
    """`text` as Markdown that shows it in one line, as it is."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", printable(text))

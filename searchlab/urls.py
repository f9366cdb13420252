"""URLs of SQLite files, whatever characters their paths have."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

SQLITE = "sqlite:///"


def of_sqlite(file: Path) -> str:
    """The URL of a database; what means something in a URL is escaped."""
    return SQLITE + str(file.absolute()).replace("%", "%25").replace("?", "%3F")


def file_of(url: str) -> Path:
    """The file of an SQLite URL."""
    return Path(unquote(url.removeprefix(SQLITE).partition("?")[0]))

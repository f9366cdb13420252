"""What a supervisor and its fork server say to each other; not in `_fork_server.py`, which runs as `__main__`."""

from __future__ import annotations

from dataclasses import dataclass

LETTER = 1 << 16
"""Bytes of an order or a report, at most."""


@dataclass(frozen=True)
class Order:
    """Fork a child, which has the server's environment; the descriptor of its channel comes with it."""

    key: int
    log: str


@dataclass(frozen=True)
class Born:
    """The child of order `key` is process `number`."""

    key: int
    number: int


@dataclass(frozen=True)
class Ended:
    """The child of order `key` ended, and so did all that it started; `status` is as in `subprocess`."""

    key: int
    status: int

"""What a supervisor and its broker (`_ray_broker.py`) say to each other.

    supervisor                              broker
                                   ◀─────   Joined(nodes), or Refused
        Opening                    ─────▶
        Hand, Kill, Restart        ─────▶
                                   ◀─────   News           from a child, or of its end
                                   ◀─────   Note           something to know
                                   ◀─────   Refused        there is no going on; any time
        Close                      ─────▶
                                   ◀─────   Closed

What children are told and say passes through as bytes: a broker need not be able to rebuild it.
"""

from __future__ import annotations

from dataclasses import dataclass

from searchlab.executors import Node, Slot


@dataclass(frozen=True)
class Opening:
    """Have a child for every slot."""

    slots: tuple[Slot, ...]
    entry: str
    setup: bytes
    log_folder: str
    marker: str
    """A file of the log folder; a node that cannot read it does not share the folder."""
    python_path: tuple[str, ...]
    """Folders of modules, for nodes that have them."""
    version: str
    """Of searchlab."""


@dataclass(frozen=True)
class Hand:
    """Tell the child in `slot`."""

    slot: int
    content: bytes


@dataclass(frozen=True)
class Kill:
    """Kill the child in `slot`."""

    slot: int
    reason: str


@dataclass(frozen=True)
class Restart:
    """Have another child in `slot`, whose words bear `generation`."""

    slot: int
    generation: int


@dataclass(frozen=True)
class Close:
    """End all children."""


@dataclass(frozen=True)
class Joined:
    """The cluster is there."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Refused:
    """There can be no children, and why."""

    words: str


@dataclass(frozen=True)
class Note:
    """For the eyes of people."""

    words: str


@dataclass(frozen=True)
class News:
    """What the child in `slot` has said, or how it ended: a pickled `Message` or `Death`."""

    slot: int
    generation: int
    item: bytes


@dataclass(frozen=True)
class Closed:
    """No child is left."""

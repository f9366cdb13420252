"""From YAML events to nodes, on a stack of its own: nothing recurses, so a hostile file cannot exhaust ours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from searchlab.config import ListNode, MapNode, Node, ScalarNode
from searchlab.config.resolution import resolve
from searchlab.errors import Mark, SpecError

MAX_NODES = 5_000
"""Values in one file, each alias counting as all that it stands for."""

_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def place_of(mark: Any, file: str) -> Mark:
    """PyYAML's mark, which counts from 0, as ours."""
    return Mark(file, mark.line + 1, mark.column + 1) if mark else Mark(file)


@dataclass
class _Open:
    """A list or mapping whose end has not been read."""

    mark: Mark
    is_map: bool
    anchor: str | None
    size: int = 1
    nodes: list[Node] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    key_marks: dict[str, Mark] = field(default_factory=dict)

    @property
    def awaits_key(self) -> bool:
        return self.is_map and len(self.keys) == len(self.nodes)

    def close(self) -> Node:
        if self.is_map:
            return MapNode(dict(zip(self.keys, self.nodes, strict=True)), self.key_marks, self.mark)
        return ListNode(tuple(self.nodes), self.mark)


class Composer:
    """Makes nodes from events, on a stack of its own."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.errors: list[SpecError] = []
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int] | None] = {}
        self.count = 0

    def take(self, event: yaml.Event) -> None:
        """Read one event.

        Raises:
            SpecError: The document goes beyond a limit or what YAML is used for here.
        """
        mark = place_of(event.start_mark, self.file)
        match event:
            case yaml.DocumentStartEvent() if self.root is not None:
                raise SpecError("a second document begins here; a file holds one", mark)
            case yaml.AliasEvent():
                self._alias(str(event.anchor), mark)
            case yaml.ScalarEvent():
                self._note_tag(event.tag, mark)
                if self.open and self.open[-1].awaits_key:
                    self._key(event.value, event.style is None, mark)
                else:
                    scalar = ScalarNode(self._value(event.value, event.style is None, mark), mark)
                    self._remember(event.anchor, scalar, 1)
                    self._add(scalar, 1)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._note_tag(event.tag, mark)
                if self.open and self.open[-1].awaits_key:
                    raise SpecError("a key must be a single word", mark)
                if event.anchor:
                    self.anchors[event.anchor] = None
                self.open.append(_Open(mark, isinstance(event, yaml.MappingStartEvent), event.anchor))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                done = self.open.pop()
                node = done.close()
                self._remember(done.anchor, node, done.size)
                self._add(node, done.size)
            case _:
                pass

    def _alias(self, anchor: str, mark: Mark) -> None:
        if self.open and self.open[-1].awaits_key:
            raise SpecError("a key must be a word, not an alias", mark)
        if anchor not in self.anchors:
            raise SpecError(f"the alias *{anchor} stands for nothing", mark)
        found = self.anchors[anchor]
        if found is None:
            raise SpecError(f"the alias *{anchor} stands within what it stands for", mark)
        self._add(*found)

    def _remember(self, anchor: str | None, node: Node, size: int) -> None:
        if anchor:
            self.anchors[anchor] = (node, size)

    def _add(self, node: Node, size: int) -> None:
        if not self.open:
            self.root = node
            return
        top = self.open[-1]
        top.nodes.append(node)
        top.size += size
        if top.size > MAX_NODES:
            raise SpecError(f"too many values; at most {MAX_NODES} are read, aliases written out", node.mark)

    def _key(self, text: str, is_plain: bool, mark: Mark) -> None:
        top = self.open[-1]
        key = text
        if is_plain and text == "<<":
            self.errors.append(SpecError("merge keys (<<) are not read; write the values out", mark))
        elif not text.strip() or _FORBIDDEN.search(text):
            self.errors.append(SpecError(f"a key must be a word, not {text!a}", mark))
        elif text in top.key_marks:
            self.errors.append(SpecError(f"{text!r} is given twice; it stands at {top.key_marks[text]} already", mark))
            key = f"{text} (again {len(top.keys)})"
        top.keys.append(key)
        top.key_marks[key] = mark

    def _value(self, text: str, is_plain: bool, mark: Mark) -> bool | int | float | str | None:
        if found := _FORBIDDEN.search(text):
            self.errors.append(SpecError(f"the character {found.group()!a} may not stand in a text", mark))
        try:
            return resolve(text) if is_plain else text
        except ValueError as error:
            self.errors.append(SpecError(str(error), mark))
            return None

    def _note_tag(self, tag: str | None, mark: Mark) -> None:
        if tag is not None:
            self.errors.append(SpecError(f"tags are not read, and {tag!r} is one", mark))

"""YAML that remembers its lines: every value and every key knows where a person wrote it.

read_file, read_text      config/reader.py       text -> Node, strictly, as YAML 1.2
override                  config/overrides.py    `--set a.b=c`
validate                  config/validation.py   Node -> a pydantic model, all faults at once
dump                      config/writer.py       plain values -> text that reads back as the same values
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from searchlab.errors import Mark


@dataclass(frozen=True)
class ScalarNode:
    """One value: null, a truth value, a number or text."""

    value: bool | int | float | str | None
    mark: Mark


@dataclass(frozen=True)
class ListNode:
    """Values in a row."""

    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True)
class MapNode:
    """Values by key, in the order of the text; keys are always text."""

    items: Mapping[str, Node]
    key_marks: Mapping[str, Mark]
    mark: Mark

    def without(self, *keys: str) -> MapNode:
        """The same mapping, less `keys`."""
        kept = {key: node for key, node in self.items.items() if key not in keys}
        return MapNode(kept, {key: self.key_marks[key] for key in kept}, self.mark)


Node: TypeAlias = ScalarNode | ListNode | MapNode


def plain(node: Node) -> Any:
    """The values alone, as dicts, lists and scalars."""
    match node:
        case ScalarNode(value=value):
            return value
        case ListNode(items=items):
            return [plain(item) for item in items]
        case MapNode(items=entries):
            return {key: plain(item) for key, item in entries.items()}


def node_of(content: Any, mark: Mark) -> Node:
    """The node of plain values that nobody wrote at a place of their own: all of it bears `mark`."""
    if isinstance(content, Mapping):
        items = {str(key): node_of(value, mark) for key, value in content.items()}
        return MapNode(items, dict.fromkeys(items, mark), mark)
    if isinstance(content, list | tuple):
        return ListNode(tuple(node_of(value, mark) for value in content), mark)
    return ScalarNode(content, mark)


def describe(node: Node) -> str:
    """What stands there, for an error message: `a list`, `a mapping`, `null`, `true`, `0.5`, `'text'`."""
    match node:
        case ListNode():
            return "a list"
        case MapNode():
            return "a mapping"
        case ScalarNode(value=value):
            return written(value)


def written(value: object) -> str:
    """A scalar as one would write it in an error message; long text is cut."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]}…{text[-1]}"


def marks(node: Node, path: str = "") -> Iterator[tuple[str, Mark]]:
    """Every place by its dotted path: keys at their key, items of lists at the item."""
    match node:
        case ListNode(items=items):
            for number, item in enumerate(items):
                below = f"{path}.{number}" if path else str(number)
                yield below, item.mark
                yield from marks(item, below)
        case MapNode(items=entries, key_marks=key_marks):
            for key, item in entries.items():
                below = f"{path}.{key}" if path else key
                yield below, key_marks[key]
                yield from marks(item, below)

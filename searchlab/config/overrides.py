"""`--set a.b=c`: one value put over what the file says; its mark reads "command line"."""

from __future__ import annotations

import re

from searchlab.config import ListNode, MapNode, Node, ScalarNode
from searchlab.config.reader import MAX_DEPTH, read_text
from searchlab.errors import Mark, SpecError

COMMAND_LINE = Mark("command line")

_WORD = re.compile(r"[A-Za-z0-9_-]+")


def override(node: Node, text: str) -> Node:
    """`node` with the value of `text` ("a.b=c") in its place; missing parents are made, items of lists go by number.

    A parent that holds a single value gives way: over `sampler: tpe`, `sampler.tpe.n_startup_trials=5` is a mapping.

    Raises:
        SpecError: Not of the form `a.b=c`, a value that is not YAML, or an item that the list does not have.
    """
    path, value = split(text)
    return _put(node, path, value, text)


def split(text: str) -> tuple[list[str], Node]:
    """The path and the value of an override.

    Raises:
        SpecError: Not of the form `a.b=c`, or a value that is not YAML.
    """
    left, equals, right = text.partition("=")
    path = left.strip().split(".")
    if not equals or not all(map(_WORD.fullmatch, path)):
        raise SpecError(f"{text!r} is not of the form name.name=value", COMMAND_LINE)
    if len(path) > MAX_DEPTH:
        raise SpecError(f"{left[:60]!r}… has more than {MAX_DEPTH} names", COMMAND_LINE)
    if not right.strip():
        return path, ScalarNode(None, COMMAND_LINE)
    try:
        return path, _remark(read_text(right, "command line"))
    except SpecError as error:
        raise SpecError(f"the value of {left.strip()!r} cannot be read: {error.message}", COMMAND_LINE) from error


def _put(node: Node, path: list[str], value: Node, text: str) -> Node:
    if not path:
        return value
    head, *rest = path
    if isinstance(node, ListNode):
        if not head.isdecimal() or int(head) >= len(node.items):
            last = len(node.items) - 1
            message = f"{text!r}: a list stands there, and {head!r} is none of its items (0 to {last})"
            raise SpecError(message, COMMAND_LINE)
        items = list(node.items)
        items[int(head)] = _put(items[int(head)], rest, value, text)
        return ListNode(tuple(items), node.mark)
    old = node if isinstance(node, MapNode) else MapNode({}, {}, COMMAND_LINE)
    below = old.items[head] if head in old.items else ScalarNode(None, COMMAND_LINE)
    entry = _put(below, rest, value, text)
    key_mark = COMMAND_LINE if not rest or head not in old.key_marks else old.key_marks[head]
    return MapNode({**old.items, head: entry}, {**old.key_marks, head: key_mark}, old.mark)


def _remark(node: Node) -> Node:
    match node:
        case ScalarNode(value=value):
            return ScalarNode(value, COMMAND_LINE)
        case ListNode(items=items):
            return ListNode(tuple(map(_remark, items)), COMMAND_LINE)
        case MapNode(items=entries):
            remarked = {key: _remark(item) for key, item in entries.items()}
            return MapNode(remarked, dict.fromkeys(remarked, COMMAND_LINE), COMMAND_LINE)

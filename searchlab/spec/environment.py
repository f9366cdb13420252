"""`${NAME}` in a text stands for an environment variable, so that addresses and passwords stay out of files."""

from __future__ import annotations

import os
import re

from searchlab.config import ListNode, MapNode, Node, ScalarNode
from searchlab.errors import SpecError, nearest

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def expand(node: Node, path: tuple[str, ...], written: dict[tuple[str, ...], str], errors: list[SpecError]) -> Node:
    """`node` with every variable filled in; texts that held one go to `written` by path, faults to `errors`."""
    match node:
        case ScalarNode(value=str(text), mark=mark) if "${" in text:
            faults = [fault for name in _VARIABLE.findall(text) if (fault := _fault(name))]
            errors += [SpecError(fault, mark) for fault in faults]
            if faults:
                return node
            written[path] = text
            return ScalarNode(_VARIABLE.sub(lambda found: os.environ[found[1]], text), mark)
        case ListNode(items=items, mark=mark):
            filled = (expand(item, (*path, str(number)), written, errors) for number, item in enumerate(items))
            return ListNode(tuple(filled), mark)
        case MapNode(items=entries, key_marks=key_marks, mark=mark):
            texts = {key: expand(item, (*path, key), written, errors) for key, item in entries.items()}
            return MapNode(texts, key_marks, mark)
        case _:
            return node


def _fault(name: str) -> str | None:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is None:
        return f"{name!r} is not the name of an environment variable"
    if name not in os.environ:
        return f"the environment variable {name} is not set.{nearest(name, os.environ)}"
    return None

"""From nodes to pydantic models: every fault at once, each at its place and in plain words.

Values are checked as JSON, strictly: `5` is no text, `true` is no number, `"5"` is no number; a list serves as a tuple.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from searchlab.config import ListNode, MapNode, Node, ScalarNode, describe, plain, written
from searchlab.config.wording import demand, literals, members
from searchlab.errors import Mark, SpecError, SpecErrors, UnknownName, nearest

M = TypeVar("M", bound=pydantic.BaseModel)

_YAML_1_1 = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def validate(node: Node, model: type[M], *, what: str) -> M:
    """The `model` that `node` describes; `what` names the section in messages ("search", "options of 'csv'").

    Raises:
        SpecErrors: All that is wrong, each at the value or key in question.
    """
    if isinstance(node, ScalarNode) and node.value is None:
        node = MapNode({}, {}, node.mark)
    try:
        return model.model_validate_json(json.dumps(plain(node)), strict=True)
    except pydantic.ValidationError as error:
        raise SpecErrors(explain(error.errors(include_url=False), node, model, what=what)) from error


def explain(
    details: Sequence[ErrorDetails], node: Node, model: type[pydantic.BaseModel], *, what: str
) -> list[SpecError]:
    """Pydantic's errors on `node` in our words; the branches of a union speak once."""
    groups: dict[tuple[str, ...], list[ErrorDetails]] = {}
    for detail in details:
        place = _place(detail, node)
        groups.setdefault(place, []).append(detail)
    parents = {place[:length] for place in groups for length in range(1, len(place))}
    return [
        _sentence(found, place, node, model, what)
        for place, found in groups.items()
        if place not in parents or any(said_by(detail) for detail in found)
    ]


def said_by(detail: ErrorDetails) -> str | None:
    """The words of a validator that a plugin wrote; None for pydantic's own errors."""
    if detail["type"] in ("value_error", "assertion_error"):
        return str(detail["ctx"]["error"]) if "ctx" in detail else detail["msg"]
    return None


def is_out_of_range(details: Sequence[ErrorDetails]) -> bool:
    """Whether some branch took the type of the value and refused its size."""
    return any(d["type"].startswith(("greater_than", "less_than")) for d in details)


def hint(value: Any, annotation: Any) -> str:
    """` Did you mean …?` for a word among the allowed ones, and for YAML 1.1's yes and no."""
    takes_bool = any(one is bool for one, _ in members(annotation))
    if takes_bool and isinstance(value, str) and value.lower() in _YAML_1_1:
        return f" Did you mean {_YAML_1_1[value.lower()]}?"
    return (
        nearest(value, [one for one in literals(annotation) if isinstance(one, str)]) if isinstance(value, str) else ""
    )


def _place(detail: ErrorDetails, node: Node) -> tuple[str, ...]:
    """The part of pydantic's location that exists in the text; names of union branches do not."""
    place: list[str] = []
    for part in map(str, detail["loc"]):
        if isinstance(node, MapNode) and part in node.items:
            node = node.items[part]
        elif isinstance(node, ListNode) and part.isdecimal() and int(part) < len(node.items):
            node = node.items[int(part)]
        elif detail["type"] == "missing" and part == str(detail["loc"][-1]):
            pass
        else:
            continue
        place.append(part)
    return tuple(place)


def _sentence(
    details: Sequence[ErrorDetails], place: tuple[str, ...], root: Node, model: type[pydantic.BaseModel], what: str
) -> SpecError:
    node, mark = _find(root, place)
    where, field = _field(model, place)
    name = ".".join(place) or what
    detail = details[0]
    if any(d["type"] == "missing" for d in details):
        return SpecError(f"{what} must have {name!r}, which is missing.", mark)
    if detail["type"] == "extra_forbidden":
        owner = ".".join((what, *place[:-1]))
        known = tuple(where.model_fields)
        return UnknownName.among(known, kind=f"key of {owner}", name=place[-1], mark=_key_mark(root, place))
    for said in map(said_by, details):
        if said is not None:
            return SpecError(f"{name}: {said.rstrip('.')}.", mark)
    if node is None or field is None:
        return SpecError(f"{name}: {detail['msg']}.", mark)
    annotation, metadata = field
    value = node.value if isinstance(node, ScalarNode) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and is_out_of_range(details)
    rule = demand(annotation, metadata, is_number=is_number)
    if detail["type"].startswith(("string_", "too_", "finite_", "multiple_of", "list_", "dict_")) and len(details) == 1:
        rule = rule if detail["type"].endswith("_type") else f"{rule} ({detail['msg'][0].lower()}{detail['msg'][1:]})"
    found = f"but is {written(value)}" if is_number else f"not {describe(node)}"
    return SpecError(f"{name} {rule}, {found}.{hint(value, annotation)}", mark)


def _find(root: Node, place: tuple[str, ...]) -> tuple[Node | None, Mark]:
    """The node at `place` and its mark; None and the nearest parent's mark when nothing stands there."""
    node: Node | None = root
    mark = root.mark
    for part in place:
        if isinstance(node, MapNode):
            if part not in node.items:
                return None, mark
            node = node.items[part]
            mark = node.mark
        elif isinstance(node, ListNode):
            node = node.items[int(part)]
            mark = node.mark
    return node, mark


def _key_mark(root: Node, place: tuple[str, ...]) -> Mark:
    parent, mark = _find(root, place[:-1])
    return parent.key_marks[place[-1]] if isinstance(parent, MapNode) else mark


def _field(
    model: type[pydantic.BaseModel], place: tuple[str, ...]
) -> tuple[type[pydantic.BaseModel], tuple[Any, tuple[Any, ...]] | None]:
    """The model that owns the last name of `place`, and the type and constraints of what stands there."""
    owner = model
    annotation: Any = model
    metadata: tuple[Any, ...] = ()
    for part in place:
        nested = [
            one for one, _ in members(annotation) if isinstance(one, type) and issubclass(one, pydantic.BaseModel)
        ]
        rows = [one for one, _ in members(annotation) if get_origin(one) in (list, tuple, set, frozenset, dict)]
        info: FieldInfo | None = None
        for one in nested:
            owner = one
            info = one.model_fields[part] if part in one.model_fields else None
        if info is not None:
            annotation, metadata = info.annotation, tuple(info.metadata)
        elif rows and not nested:
            arguments = [item for item in get_args(rows[0]) if item is not Ellipsis]
            annotation, metadata = (arguments[-1] if arguments else Any), ()
        else:
            return owner, None
    return owner, (annotation, metadata)

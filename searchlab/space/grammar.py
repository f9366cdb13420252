"""From the YAML of a search space to a `Space` (house rules of the grammar: one word for each thing).

    model:                                       a mapping of names: a choice whose members own children
      cnn:
        depth: {low: 1, high: 4}
        width: {per_layer: [16, 32, 64]}         one choice for each layer: width.1 … width.4
      mlp: {}
      default: cnn                               the first guess
    optimizer: [adam, sgd]                       a list of names: members without children
    schedule: constant                           a name: fixed
    training: {batch_size: [32, 64]}             a plain group

What each parameter may be is in `domains.py`; whether a plugin has such an option is asked in `check.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from searchlab.config import ListNode, MapNode, Node, ScalarNode, describe
from searchlab.errors import Mark, SpecError, SpecErrors, UnknownName
from searchlab.space import (
    GROUPS,
    SELECTORS,
    Choice,
    Condition,
    Domain,
    Fixed,
    Float,
    Int,
    Parameter,
    Space,
    Value,
)
from searchlab.space.domains import domain_of

MAX_LAYERS = 64

CountOf: TypeAlias = Callable[[str, str, str], str]
"""(selector, member, field) -> the name of the field that counts the layers of a per-layer field."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def depth_counts(selector: str, member: str, field: str) -> str:
    """The count of every per-layer field of the shipped families: "depth"."""
    return "depth"


def parse(node: Node, *, count_of: CountOf = depth_counts) -> Space:
    """The space that `node` describes; `count_of` knows which field counts the layers of a per-layer one.

    Raises:
        SpecErrors: All that is wrong, each at its place.
    """
    errors: list[SpecError] = []
    parameters: list[Parameter] = []
    if isinstance(node, ScalarNode) and node.value is None:
        node = MapNode({}, {}, node.mark)
    if not isinstance(node, MapNode):
        message = f"a search space must be a mapping of {', '.join((*SELECTORS, *GROUPS))}, not {describe(node)}."
        raise SpecErrors([SpecError(message, node.mark)])
    for section, content in node.items.items():
        mark = node.key_marks[section]
        if section in SELECTORS:
            parameters += _selector(section, content, mark, count_of, errors)
        elif section in GROUPS:
            parameters += _members(section, content, None, None, errors)
        else:
            errors.append(
                UnknownName.among((*SELECTORS, *GROUPS), kind="section of a search space", name=section, mark=mark)
            )
    if errors:
        raise SpecErrors(errors)
    return Space(tuple(parameters))


def _selector(section: str, node: Node, mark: Mark, count_of: CountOf, errors: list[SpecError]) -> Iterator[Parameter]:
    """The choice of a plugin, then the options of each member."""
    members: dict[str, tuple[Node | None, Mark]] = {}
    default: Node | None = None
    match node:
        case ScalarNode(value=str(value), mark=place):
            members[value] = (None, place)
        case ListNode(items=items) if items and all(_is_name(item) for item in items):
            for item in items:
                name = str(item.value) if isinstance(item, ScalarNode) else ""
                if name in members:
                    errors.append(SpecError(f"{name!r} stands twice among the choices of {section}.", item.mark))
                members[name] = (None, item.mark)
        case MapNode(items=entries) if entries.keys() - {"default"}:
            default = entries["default"] if "default" in entries else None
            members = {name: (entries[name], node.key_marks[name]) for name in entries if name != "default"}
        case _:
            message = (
                f"{section} must be a name, a list of names or a mapping of names to options, not {describe(node)}."
            )
            errors.append(SpecError(message, node.mark))
            return
    names = tuple(members)
    for name in names:
        if not _NAME.fullmatch(name):
            errors.append(SpecError(f"{name!r} cannot be the name of a {section}.", members[name][1]))
    guess: Value = None
    if default is not None:
        guess = default.value if isinstance(default, ScalarNode) else None
        if not isinstance(guess, str) or guess not in members:
            name = guess if isinstance(guess, str) else describe(default)
            errors.append(UnknownName.among(names, kind=f"member of {section}", name=name, mark=default.mark))
    domain: Domain = Fixed(names[0]) if len(names) == 1 else Choice(names, guess, default is not None)
    yield Parameter(section, domain, None, mark)
    for name, (content, _) in members.items():
        if content is not None:
            active = Condition(section, (name,))
            yield from _members(f"{section}.{name}", content, active, count_of, errors)


def _members(
    prefix: str, node: Node, active: Condition | None, count_of: CountOf | None, errors: list[SpecError]
) -> Iterator[Parameter]:
    """The options of one member or group: ordinary ones in the order of the text, then per-layer ones."""
    if isinstance(node, ScalarNode) and node.value is None:
        return
    if not isinstance(node, MapNode):
        errors.append(SpecError(f"{prefix} must be a mapping of options, not {describe(node)}.", node.mark))
        return
    known: dict[str, Domain] = {}
    for name, content in node.items.items():
        mark = node.key_marks[name]
        if not _NAME.fullmatch(name):
            errors.append(SpecError(f"{name!r} cannot be the name of an option of {prefix}.", mark))
        elif not _is_per_layer(content):
            domain = domain_of(name, content, errors)
            if domain is not None:
                known[name] = domain
                yield Parameter(f"{prefix}.{name}", domain, active, mark)
    for name, content in node.items.items():
        if _is_per_layer(content) and isinstance(content, MapNode):
            if count_of is None:
                message = f"{prefix}.{name} cannot be per layer: only a model has layers."
                errors.append(SpecError(message, node.key_marks[name]))
                continue
            section, _, member = prefix.partition(".")
            count = count_of(section, member, name)
            yield from _layers(prefix, name, count, content, known, node, active, errors)


def _layers(
    prefix: str,
    name: str,
    count: str,
    content: MapNode,
    known: dict[str, Domain],
    owner: MapNode,
    active: Condition | None,
    errors: list[SpecError],
) -> Iterator[Parameter]:
    """One parameter for each layer there can be; those beyond the smallest count depend on it."""
    mark = owner.key_marks[name]
    for key in content.items:
        if key != "per_layer":
            place = content.key_marks[key]
            errors.append(UnknownName.among(("per_layer",), kind=f"key of {name}", name=key, mark=place))
    domain = domain_of(name, content.items["per_layer"], errors)
    if count not in known:
        if count not in owner.items:  # a faulty count has been told already
            errors.append(SpecError(f"{name} is per layer, so {count!r} must be given beside it.", mark))
        return
    counts = _counts(known[count])
    if counts is None:
        message = f"{name} is per layer, so {count} must be whole numbers from 1 to {MAX_LAYERS}."
        errors.append(SpecError(message, owner.key_marks[count]))
        return
    for layer in range(1, max(counts) + 1):
        enough: tuple[Value, ...] = tuple(number for number in counts if number >= layer)
        condition = active if len(enough) == len(counts) else Condition(f"{prefix}.{count}", enough)
        if domain is not None:
            yield Parameter(f"{prefix}.{name}.{layer}", domain, condition, mark)


def _counts(domain: Domain) -> tuple[int, ...] | None:
    """Every number of layers that `domain` allows; None when it allows something else or too many."""
    match domain:
        case Fixed(value=value):
            values: tuple[object, ...] = (value,)
        case Choice(values=choices):
            values = choices
        case Int(low=low, high=high, step=step) if low >= 1 and high <= MAX_LAYERS:
            values = tuple(range(low, high + 1, step))
        case Int() | Float():
            return None
    whole = tuple(value for value in values if type(value) is int and 1 <= value <= MAX_LAYERS)
    return whole if len(whole) == len(values) else None


def _is_name(node: Node) -> bool:
    return isinstance(node, ScalarNode) and isinstance(node.value, str)


def _is_per_layer(node: Node) -> bool:
    return isinstance(node, MapNode) and "per_layer" in node.items

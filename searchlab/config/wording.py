"""What an option may be, in words: "a whole number in [1, 8]", "'max' or 'mean'", "true or false, or null"."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_NOUNS: dict[Any, str] = {bool: "true or false", str: "text", type(None): "null"}


def allowed(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """All that a field of this type takes, its constraints included."""
    words = [_words(one, [*metadata, *own]) for one, own in members(annotation)]
    unique = list(dict.fromkeys(sorted(words, key=lambda word: word == "null")))
    return ", or ".join(unique)


def demand(annotation: Any, metadata: Iterable[Any] = (), *, is_number: bool) -> str:
    """`must lie in [0, 1)` to someone who gave a number (`is_number`), else `must be a number in [0, 1)`."""
    metadata = list(metadata)
    if is_number and takes_numbers(annotation):
        bounds = [*metadata, *(item for _, own in members(annotation) for item in own)]
        if found := interval(bounds):
            return f"must lie in {found}" if found[0] in "[(" else f"must be {found}"
    return f"must be {allowed(annotation, metadata)}"


def members(annotation: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The types of a union, or the one type itself, each with the constraints written on it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *own = get_args(annotation)
        flat = [item for one in own for item in (one.metadata if isinstance(one, FieldInfo) else [one])]
        for one, deeper in members(inner):
            yield one, (*flat, *deeper)
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from members(member)
    else:
        yield annotation, ()


def literals(annotation: Any) -> tuple[Any, ...]:
    """The values that a `Literal`, alone or in a union, names."""
    return tuple(value for one, _ in members(annotation) if get_origin(one) is Literal for value in get_args(one))


def takes_numbers(annotation: Any) -> bool:
    """Whether a number can be right."""
    return any(one in (int, float) for one, _ in members(annotation))


def interval(metadata: Iterable[Any]) -> str | None:
    """`[0, 1)`, `at least 1`, `above 0`, …; None without bounds."""
    low: tuple[Any, bool] | None = None
    high: tuple[Any, bool] | None = None
    for item in metadata:
        match item:
            case Ge(ge=bound):
                low = (bound, True)
            case Gt(gt=bound):
                low = (bound, False)
            case Le(le=bound):
                high = (bound, True)
            case Lt(lt=bound):
                high = (bound, False)
            case Interval():
                return interval(list(item))
            case _:
                pass
    if low and high:
        return f"{'[' if low[1] else '('}{_bound(low[0])}, {_bound(high[0])}{']' if high[1] else ')'}"
    if low:
        return f"at least {_bound(low[0])}" if low[1] else f"above {_bound(low[0])}"
    if high:
        return f"at most {_bound(high[0])}" if high[1] else f"below {_bound(high[0])}"
    return None


def _bound(bound: Any) -> str:
    return str(int(bound)) if isinstance(bound, float) and bound.is_integer() and abs(bound) < 1e6 else str(bound)


def _words(one: Any, metadata: list[Any]) -> str:
    origin = get_origin(one)
    if one in (int, float):
        steps = "".join(f", a multiple of {item.multiple_of}" for item in metadata if isinstance(item, MultipleOf))
        found = interval(metadata)
        relation = f" in {found}" if found and found[0] in "[(" else f" {found}" if found else ""
        return f"a {'whole ' if one is int else ''}number{relation}{steps}"
    if origin is Literal:
        return " or ".join(value if value == "null" else repr(value) for value in get_args(one))
    if origin in (list, tuple, set, frozenset):
        inner = [item for item in get_args(one) if item is not Ellipsis]
        return f"a list, each item {allowed(inner[0])}" if inner else "a list"
    if origin in (dict, types.GenericAlias) or one is dict or (isinstance(one, type) and issubclass(one, BaseModel)):
        return "a mapping"
    return _NOUNS[one] if one in _NOUNS else "text"

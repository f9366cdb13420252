"""For every option of a plugin, a value that is not its default: what the search for dead knobs turns."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pydantic

from searchlab.options import Options

sys.path.append(str(Path(__file__).parents[1] / "training"))

from tiny_backbones import maps_of


def other_value(options: type[Options], field: str, fixed: Mapping[str, Any] | None = None) -> Any:
    """A valid value of `field` that differs from its default, or from what is `fixed`."""
    default = options(**(fixed or {})).model_dump()[field]
    for candidate in candidates(options, field, default):
        try:
            changed = options(**{field: candidate}).model_dump()[field]
        except pydantic.ValidationError:
            continue
        if changed != default:
            return candidate
    raise AssertionError(f"no other value found for {options.__name__}.{field}")


def candidates(options: type[Options], field: str, default: Any) -> list[Any]:
    """Guesses, the likeliest first."""
    if field == "backbone":
        return [maps_of(10, seed=5)]
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, str):
        return list(get_args(options.model_fields[field].annotation))
    if isinstance(default, int):
        return [default + 1, default - 1]
    if isinstance(default, float):
        return [0.1, default * 0.5, default + 1.0]
    return [1.0, 1, 16, True, "a"]


def bases_and_changes(
    options: type[Options], field: str, fixed: Mapping[str, Any] | None = None
) -> list[tuple[Options, Options]]:
    """Pairs that differ in `field` alone: from the defaults, and from where every option has another value.

    `fixed` takes the place of some defaults.
    """
    given = dict(fixed or {})
    other = other_value(options, field, given)
    elsewhere = {name: other_value(options, name, given) for name in options.model_fields if name != field}
    mine = {field: given[field]} if field in given else {}
    return [
        (options(**given), options(**{**given, field: other})),
        (options(**elsewhere, **mine), options(**elsewhere, **{field: other})),
    ]

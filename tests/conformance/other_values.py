"""For every option of a plugin, a value that is not its default: what the search for dead knobs turns."""

from typing import Any, get_args

import pydantic

from searchlab.options import Options


def other_value(options: type[Options], field: str) -> Any:
    """A valid value of `field` that differs from its default."""
    default = options().model_dump()[field]
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
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, str):
        return list(get_args(options.model_fields[field].annotation))
    if isinstance(default, int):
        return [default + 1, default - 1]
    if isinstance(default, float):
        return [0.1, default * 0.5, default + 1.0]
    return [1.0, 1, True, "a"]


def bases_and_changes(options: type[Options], field: str) -> list[tuple[Options, Options]]:
    """Pairs that differ in `field` alone: from the defaults, and from where every option has another value."""
    other = other_value(options, field)
    elsewhere = {name: other_value(options, name) for name in options.model_fields if name != field}
    return [(options(), options(**{field: other})), (options(**elsewhere), options(**elsewhere, **{field: other}))]

"""From a `Space` back to the grammar: plain values that parse to an equal space."""

from __future__ import annotations

from typing import Any

from searchlab.space import SELECTORS, Choice, Domain, Fixed, Float, Int, Space


def grammar_of(space: Space) -> dict[str, Any]:
    """The space as one would write it in YAML, ranges and choices in full, per-layer parameters once."""
    content: dict[str, Any] = {}
    for parameter in space.parameters:
        section, *rest = parameter.name.split(".")
        if not rest:
            content[section] = _selection(parameter.domain)
            continue
        owner = content.setdefault(section, {})
        if section in SELECTORS:
            owner = owner[rest.pop(0)]
        written = form_of(parameter.domain)
        owner[rest[0]] = {"per_layer": written} if len(rest) > 1 else written
    return content


def form_of(domain: Domain) -> Any:
    """One domain in the grammar."""
    match domain:
        case Fixed(value=value):
            return value
        case Choice(values=values, default=default, has_default=has_default):
            return {"choices": list(values), "default": default} if has_default else list(values)
        case Int(low=low, high=high, step=step, log=log, default=guess):
            form: dict[str, Any] = {"low": low, "high": high, "step": step if step != 1 else None}
        case Float(low=low, high=high, step=real_step, log=log, default=guess):
            form = {"low": low, "high": high, "step": real_step}
    form |= {"log": log or None, "default": guess}
    return {key: value for key, value in form.items() if value is not None}


def _selection(domain: Domain) -> dict[str, Any]:
    """The members of a selector, still without options."""
    match domain:
        case Fixed(value=name):
            return {str(name): {}}
        case Choice(values=names, default=default, has_default=has_default):
            members: dict[str, Any] = {str(name): {} for name in names}
            return {**members, "default": default} if has_default else members
        case _:
            raise AssertionError(f"a selector cannot be {domain}")

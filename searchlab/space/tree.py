"""A space as a tree of words, for people."""

from __future__ import annotations

from typing import TypeAlias

from searchlab.config import written
from searchlab.space import SELECTORS, Choice, Domain, Fixed, Float, Int, Space

Line: TypeAlias = tuple[int, str, str]
"""Depth from 0, the name at that depth, and what may be there."""


def tree(space: Space) -> list[Line]:
    """One line for each section, plugin and parameter; the layers of a per-layer option share one."""
    lines: list[Line] = []
    seen: set[str] = set()
    for parameter in space.parameters:
        section, *rest = parameter.name.split(".")
        if not rest:
            lines.append((0, section, words(parameter.domain)))
            seen.add(section)
            continue
        if section not in seen:
            seen.add(section)
            lines.append((0, section, ""))
        depth = 1
        if section in SELECTORS:
            plugin = rest.pop(0)
            if f"{section}.{plugin}" not in seen:
                seen.add(f"{section}.{plugin}")
                lines.append((1, plugin, ""))
            depth = 2
        field, *layer = rest
        if not layer:
            lines.append((depth, field, words(parameter.domain)))
        elif layer == ["1"]:
            lines.append((depth, field, f"per layer: {words(parameter.domain)}"))
    return lines


def words(domain: Domain) -> str:
    """One domain in words: `relu or tanh`, `1 to 4`, `1e-05 to 0.1, log, first 0.001`."""
    match domain:
        case Fixed(value=value):
            return _bare(value)
        case Choice(values=values, default=default, has_default=has_default):
            first = f", first {_bare(default)}" if has_default else ""
            return " or ".join(map(_bare, values)) + first
        case Int(low=low, high=high, step=step, log=log, default=guess):
            every = f" in steps of {step}" if step != 1 else ""
        case Float(low=low, high=high, step=real_step, log=log, default=guess):
            every = f" in steps of {real_step}" if real_step is not None else ""
    first = f", first {guess}" if guess is not None else ""
    return f"{low} to {high}{every}{', log' if log else ''}{first}"


def _bare(value: object) -> str:
    return value if isinstance(value, str) else written(value)

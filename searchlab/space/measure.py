"""How large a space is, where its corners lie, what it suggests first, and draws from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from searchlab.space import SELECTORS, Choice, Domain, Fixed, Float, Int, Parameter, Params, Space, Value
from searchlab.space.domains import same


def size(space: Space) -> int | None:
    """The number of different configurations; None when a real number makes them endless."""
    children: dict[str | None, list[Parameter]] = {}
    for parameter in space.parameters:
        children.setdefault(parameter.condition.parent if parameter.condition else None, []).append(parameter)

    def count(parameter: Parameter) -> int | None:
        below = children[parameter.name] if parameter.name in children else []
        branches = {value for child in below if child.condition for value in child.condition.values}
        total = 0
        for value in branches:
            if holds(parameter.domain, value):
                here = product([child for child in below if child.condition and value in child.condition.values])
                if here is None:
                    return None
                total += here
        values = _count(parameter.domain)
        return None if values is None else total + values - sum(holds(parameter.domain, value) for value in branches)

    def product(parameters: list[Parameter]) -> int | None:
        total = 1
        for parameter in parameters:
            factor = count(parameter)
            if factor is None:
                return None
            total *= factor
        return total

    return product(children[None] if None in children else [])


def shapes(space: Space, is_value: Callable[[str], bool]) -> int | None:
    """The number of different configurations of what is no value (see `Params.shape_key`); None when it is endless."""
    return size(Space(tuple(parameter for parameter in space.parameters if not is_value(parameter.name))))


def first_guesses(space: Space) -> tuple[Params, ...]:
    """The configurations that `default:` marks; empty when nothing is marked.

    The first takes every marked plugin; each further one exchanges one plugin for another that has defaults inside.
    What has no default takes its middle.
    """
    marked = {parameter.name for parameter in space.parameters if _default(parameter.domain)[1]}
    if not marked:
        return ()
    alternatives: dict[str, list[Value]] = {}
    for parameter in space.parameters:
        if parameter.name in SELECTORS and isinstance(parameter.domain, Choice):
            inside = [v for v in parameter.domain.values if any(n.startswith(f"{parameter.name}.{v}.") for n in marked)]
            first = (
                [parameter.domain.default] if parameter.domain.has_default else inside or [parameter.domain.values[0]]
            )
            alternatives[parameter.name] = first[:1] + [value for value in inside if value != first[0]]
    base = {selector: values[0] for selector, values in alternatives.items()}
    swaps = [{**base, selector: value} for selector, values in alternatives.items() for value in values[1:]]
    return _resolved(space, [base, *swaps], _guess)


def corners(space: Space) -> tuple[Params, ...]:
    """Everything at its low end and everything at its high end, for each combination of plugins."""
    choices = {
        p.name: p.domain.values for p in space.parameters if p.name in SELECTORS and isinstance(p.domain, Choice)
    }
    combinations = [dict(zip(choices, names, strict=True)) for names in itertools.product(*choices.values())]
    pairs = [_resolved(space, [combination], end) for combination in combinations for end in (_low, _high)]
    return _distinct([params for pair in pairs for params in pair])


def sample(space: Space, rng: np.random.Generator) -> Params:
    """One configuration: choices and steps evenly, real numbers evenly or evenly in their logarithm."""
    return space.resolve(lambda parameter: _draw(parameter.domain, rng))


def contains(space: Space, params: Params) -> bool:
    """Whether `params` names exactly the active parameters and each value lies in its domain."""
    missing = object()

    def given(parameter: Parameter) -> Value:
        return params.values[parameter.name] if parameter.name in params.values else missing  # type: ignore[return-value]

    active = space.resolve(given)
    return active.values.keys() == params.values.keys() and all(
        holds(space[name].domain, value) for name, value in params.values.items()
    )


def holds(domain: Domain, value: Value) -> bool:
    """Whether `value` lies in `domain`; `1` is no `true`, and a whole number may stand for a real one."""
    match domain:
        case Fixed(value=fixed):
            return same(fixed, value)
        case Choice(values=values):
            return any(same(one, value) for one in values)
        case Int(low=low, high=high, step=step):
            return type(value) is int and low <= value <= high and (value - low) % step == 0
        case Float(low=low, high=high, step=real_step):
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                return False
            return real_step is None or math.isclose(
                (value - low) / real_step, round((value - low) / real_step), abs_tol=1e-6
            )


def _resolved(
    space: Space, selections: list[dict[str, Value]], choose: Callable[[Domain], Value]
) -> tuple[Params, ...]:
    def value_of(selection: Mapping[str, Value]) -> Callable[[Parameter], Value]:
        return lambda p: selection[p.name] if p.name in selection else choose(p.domain)

    return _distinct([space.resolve(value_of(selection)) for selection in selections])


def _distinct(found: list[Params]) -> tuple[Params, ...]:
    return tuple({params.digest(): params for params in reversed(found)}.values())[::-1]


def _count(domain: Domain) -> int | None:
    match domain:
        case Fixed():
            return 1
        case Choice(values=values):
            return len(values)
        case Int(low=low, high=high, step=step):
            return (high - low) // step + 1
        case Float(low=low, high=high, step=step):
            return None if step is None else round((high - low) / step) + 1


def _default(domain: Domain) -> tuple[Value, bool]:
    """The marked first guess, and whether there is one."""
    match domain:
        case Fixed():
            return None, False
        case Choice(default=default, has_default=has_default):
            return default, has_default
        case Int(default=guess) | Float(default=guess):
            return guess, guess is not None


def _guess(domain: Domain) -> Value:
    """The default, else the middle: half-way, in the logarithm for log ranges; the first of choices."""
    default, is_marked = _default(domain)
    if is_marked:
        return default
    match domain:
        case Fixed(value=value):
            return value
        case Choice(values=values):
            return values[0]
        case Int(low=low, high=high, step=step, log=log):
            middle = math.sqrt(low) * math.sqrt(high) if log else (low + high) / 2
            return low + step * round((middle - low) / step)
        case Float(low=low, high=high, step=real_step, log=log):
            middle = math.sqrt(low) * math.sqrt(high) if log else low + (high - low) / 2
            return middle if real_step is None else _on_step(low, high, real_step, round((middle - low) / real_step))


def _low(domain: Domain) -> Value:
    return _ends(domain)[0]


def _high(domain: Domain) -> Value:
    return _ends(domain)[1]


def _ends(domain: Domain) -> tuple[Value, Value]:
    match domain:
        case Fixed(value=value):
            return value, value
        case Choice(values=values):
            numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
            return (min(numbers), max(numbers)) if len(numbers) == len(values) else (values[0], values[-1])
        case Int(low=low, high=high):
            return low, high
        case Float(low=real_low, high=real_high):
            return real_low, real_high


def _draw(domain: Domain, rng: np.random.Generator) -> Value:
    match domain:
        case Fixed(value=value):
            return value
        case Choice(values=values):
            return values[int(rng.integers(len(values)))]
        case Int(low=low, high=high, log=True):
            drawn = math.exp(rng.uniform(math.log(low - 0.5), math.log(high + 0.5)))
            return min(max(round(drawn), low), high)
        case Int(low=low, high=high, step=step):
            return low + step * int(rng.integers((high - low) // step + 1))
        case Float(low=real_low, high=real_high, log=True):
            return min(max(math.exp(rng.uniform(math.log(real_low), math.log(real_high))), real_low), real_high)
        case Float(low=real_low, high=real_high, step=None):
            return min(max(real_low + (real_high - real_low) * rng.random(), real_low), real_high)
        case Float(low=real_low, high=real_high, step=real_step):
            assert real_step is not None
            return _on_step(
                real_low, real_high, real_step, int(rng.integers(round((real_high - real_low) / real_step) + 1))
            )


def _on_step(low: float, high: float, step: float, number: int) -> float:
    return min(float(Fraction(repr(low)) + Fraction(repr(step)) * number), high)

"""A domain of the space as Optuna knows it, and its points: by a number in [0, 1), or a few that cover it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import optuna

from searchlab.space import Choice, Domain, Fixed, Float, Int, Params, Space, Value


def distribution(domain: Domain) -> optuna.distributions.BaseDistribution:
    """The Optuna distribution of what may vary."""
    match domain:
        case Choice():
            return optuna.distributions.CategoricalDistribution([told(domain, value) for value in domain.values])
        case Int(low, high, step, log):
            return optuna.distributions.IntDistribution(low, _last(domain), log=log, step=1 if log else step)
        case Float(low, high, step, log):
            return optuna.distributions.FloatDistribution(
                low, high if log else _last(domain), log=log, step=None if log else step
            )
        case Fixed():
            raise AssertionError("a fixed value is no dimension of the search")


def distributions(space: Space, params: Params) -> dict[str, optuna.distributions.BaseDistribution]:
    """The distributions of those parameters of `params` that vary."""
    return {p.name: distribution(p.domain) for p in space.varied if p.name in params.values}


def told(domain: Domain, value: Value) -> Any:
    """`value` as Optuna is told it.  Choices that Python holds equal (1 and true) go by their JSON text."""
    if isinstance(domain, Choice) and len(set(domain.values)) < len(domain.values):
        return json.dumps(value)
    return value


def heard(domain: Domain, answer: Any) -> Value:
    """The value of the domain that Optuna means by `answer`, in the type that the domain has."""
    if isinstance(domain, Choice):
        return next(v for v in domain.values if (known := told(domain, v)) == answer and type(known) is type(answer))
    return int(answer) if isinstance(domain, Int) else float(answer)


def suggest(trial: optuna.trial.Trial, name: str, domain: Domain) -> Value:
    """Have `trial` choose a value of `domain`."""
    match distribution(domain):
        case optuna.distributions.CategoricalDistribution(choices=choices):
            return heard(domain, trial.suggest_categorical(name, choices))
        case optuna.distributions.IntDistribution(low=low, high=high, log=log, step=step):
            return heard(domain, trial.suggest_int(name, low, high, log=log, step=step))
        case optuna.distributions.FloatDistribution(low=low, high=high, log=log, step=step):
            return heard(domain, trial.suggest_float(name, low, high, log=log, step=step))
        case other:
            raise AssertionError(other)


def at(domain: Domain, unit: float) -> Value:
    """The value at `unit` in [0, 1): equal shares for choices and whole numbers, even or log-even for ranges."""
    match domain:
        case Fixed(value):
            return value
        case Choice(values):
            return values[min(int(unit * len(values)), len(values) - 1)]
        case Int(low, _, step, log):
            high = int(_last(domain))
            if log:
                real = math.exp(math.log(low - 0.5) + unit * (math.log(high + 0.5) - math.log(low - 0.5)))
                return min(max(round(real), low), high)
            return low + step * min(int(unit * ((high - low) // step + 1)), (high - low) // step)
        case Float(low, high, step, log):
            if log:
                return min(max(math.exp(math.log(low) + unit * (math.log(high) - math.log(low))), low), high)
            if step is None:
                return min(low + unit * (high - low), high)
            steps = round((_last(domain) - low) / step)
            return float(Decimal(str(low)) + Decimal(str(step)) * min(int(unit * (steps + 1)), steps))


def unit_of(domain: Domain, value: Value) -> float:
    """Where `value` lies in [0, 1): the middle of its share for choices and whole numbers; `at` leads back."""
    match domain:
        case Choice(values):
            places: list[Any] = [told(domain, v) for v in values]
            return float((places.index(told(domain, value)) + 0.5) / len(values))
        case Int(low, _, step, log) if isinstance(value, int | float):
            high = int(_last(domain))
            if log:
                return (math.log(value) - math.log(low - 0.5)) / (math.log(high + 0.5) - math.log(low - 0.5))
            return ((value - low) // step + 0.5) / ((high - low) // step + 1)
        case Float(low, high, step, log) if isinstance(value, int | float):
            if high == low:
                return 0.5
            if log:
                unit = (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
            elif step is None:
                unit = (value - low) / (high - low)
            else:
                unit = (round((value - low) / step) + 0.5) / (round((float(_last(domain)) - low) / step) + 1)
            return min(max(unit, 0.0), math.nextafter(1.0, 0.0))
    return 0.5


def some(domain: Domain, most: int) -> Sequence[Value]:
    """All values of the domain where it has at most `most` (choices always), else `most` that cover it, ends included.

    A single value for `most == 1` is the middle.
    """
    match domain:
        case Fixed(value):
            return [value]
        case Choice(values):
            return values
        case Int(low, _, step, log) if not log and (_last(domain) - low) // step + 1 <= most:
            return list(range(low, int(_last(domain)) + 1, step))
        case Int(low, high) if high - low + 1 <= most:
            return list(range(low, high + 1))
    units = [0.5] if most == 1 else [i / (most - 1) for i in range(most)]
    return list(dict.fromkeys(at(domain, min(unit, math.nextafter(1.0, 0.0))) for unit in units))


def _last(domain: Int | Float) -> Any:
    """The last value that the steps reach."""
    if domain.step is None:
        return domain.high
    if isinstance(domain, Int):
        return domain.low + (domain.high - domain.low) // domain.step * domain.step
    low, high, step = (Decimal(str(number)) for number in (domain.low, domain.high, domain.step))
    return float(low + (high - low) // step * step)

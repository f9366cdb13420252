"""From one value of the YAML to one `Domain`: what a parameter may be.

dropout: 0.5                                          fixed
width: [16, 32, 64]                                   choices (a list of one is a fixed value)
depth: {low: 1, high: 4}                              whole numbers, since both ends are whole
learning_rate: {low: 1e-4, high: 1e-1, log: true, default: 1e-3}
activation: {choices: [relu, tanh], default: relu}
"""

from __future__ import annotations

import math
from fractions import Fraction

from searchlab.config import ListNode, MapNode, Node, ScalarNode, describe, written
from searchlab.errors import Mark, SpecError, UnknownName
from searchlab.space import Choice, Domain, Fixed, Float, Int, Value

WIDEST = 2**53
"""Ends of a range of whole numbers lie within plus or minus this: beyond it, samplers' floats skip numbers."""

_RANGE_KEYS = ("low", "high", "step", "log", "default")
_CHOICE_KEYS = ("choices", "default")


def domain_of(name: str, node: Node, errors: list[SpecError]) -> Domain | None:
    """The domain that `node` describes; None when `errors` was added to.  `name` is the parameter's, for messages."""
    match node:
        case ScalarNode(value=value, mark=mark):
            if isinstance(value, float) and not math.isfinite(value):
                errors.append(SpecError(f"{name} must be a finite number, not {value}.", mark))
                return None
            return Fixed(value)
        case ListNode():
            return _choices(name, node, None, errors)
        case MapNode(items=items):
            if "choices" in items:
                return _choices_with_default(name, node, errors)
            if "low" in items or "high" in items:
                return _range(name, node, errors)
    keys = ", ".join(items) or "empty"
    message = (
        f"{name} must be a value, a list of choices, a range {{low: …, high: …}} or {{choices: […], default: …}}, "
        f"not a mapping ({keys[:60]})."
    )
    errors.append(SpecError(message, node.mark))
    return None


def _choices_with_default(name: str, node: MapNode, errors: list[SpecError]) -> Domain | None:
    before = len(errors)
    _refuse_other_keys(name, node, _CHOICE_KEYS, errors)
    listed = node.items["choices"]
    if not isinstance(listed, ListNode):
        errors.append(SpecError(f"the choices of {name} must be a list, not {describe(listed)}.", listed.mark))
        return None
    domain = _choices(name, listed, node.items["default"] if "default" in node.items else None, errors)
    return domain if len(errors) == before else None


def _choices(name: str, node: ListNode, default: Node | None, errors: list[SpecError]) -> Domain | None:
    before = len(errors)
    values: list[Value] = []
    if not node.items:
        errors.append(SpecError(f"{name} has no choices; list at least one value.", node.mark))
    reals = any(isinstance(item, ScalarNode) and isinstance(item.value, float) for item in node.items)
    for item in node.items:
        if not isinstance(item, ScalarNode):
            errors.append(SpecError(f"a choice of {name} must be a single value, not {describe(item)}.", item.mark))
            continue
        value = float(item.value) if reals and type(item.value) is int else item.value
        if isinstance(value, float) and not math.isfinite(value):
            errors.append(SpecError(f"a choice of {name} must be a finite number, not {value}.", item.mark))
        elif any(same(value, other) for other in values):
            errors.append(SpecError(f"{written(value)} stands twice among the choices of {name}.", item.mark))
        values.append(value)
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1:
        mixed = ", ".join(map(written, values[:6]))
        message = f"the choices of {name} must be of one kind (all numbers, all words, …), but are {mixed}."
        errors.append(SpecError(message, node.mark))
    guess: Value = None
    if default is not None:
        if not isinstance(default, ScalarNode):
            errors.append(SpecError(f"the default of {name} must be a single value.", default.mark))
        else:
            guess = float(default.value) if reals and type(default.value) is int else default.value
            if values and not any(same(guess, value) for value in values):
                listed = ", ".join(map(written, values))
                message = f"the default of {name} must be one of its choices ({listed}), not {written(guess)}."
                errors.append(SpecError(message, default.mark))
    if len(errors) > before:
        return None
    if len(values) == 1:
        return Fixed(values[0])
    return Choice(tuple(values), guess, default is not None)


def _range(name: str, node: MapNode, errors: list[SpecError]) -> Domain | None:
    before = len(errors)
    _refuse_other_keys(name, node, _RANGE_KEYS, errors)
    numbers: dict[str, tuple[int | float, Mark]] = {}
    for key in ("low", "high", "step", "default"):
        if key not in node.items:
            if key in ("low", "high"):
                errors.append(SpecError(f"the range of {name} must have {key!r} too.", node.mark))
            continue
        item = node.items[key]
        value = item.value if isinstance(item, ScalarNode) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            message = f"{key!r} of {name} must be a finite number, not {describe(item)}."
            errors.append(SpecError(message, item.mark))
        else:
            numbers[key] = (value, item.mark)
    log = False
    if "log" in node.items:
        item = node.items["log"]
        if isinstance(item, ScalarNode) and isinstance(item.value, bool):
            log = item.value
        else:
            errors.append(SpecError(f"'log' of {name} must be true or false, not {describe(item)}.", item.mark))
    if len(errors) > before:
        return None
    low, high = numbers["low"][0], numbers["high"][0]
    step = numbers["step"][0] if "step" in numbers else None
    default = numbers["default"][0] if "default" in numbers else None
    is_whole = isinstance(low, int) and isinstance(high, int) and not isinstance(step, float)

    def fault(key: str, message: str) -> None:
        errors.append(SpecError(message, numbers[key][1]))

    if not low < high:
        fault("high", f"the range of {name} must have low < high, but is [{low}, {high}].")
    elif not math.isfinite(float(high) - float(low)) or (is_whole and max(abs(low), abs(high)) > WIDEST):
        fault("high", f"the range of {name} is too wide.")
    if log and low <= 0:
        fault("low", f"a log range must lie above 0, but that of {name} begins at {low}.")
    if log and step is not None:
        fault("step", f"{name} can have 'log' or 'step', not both.")
    elif step is not None and (step <= 0 or not on_grid(high, low, step) or high - low < step):
        fault("step", f"the step of {name} must be above 0 and divide {high} - {low}, but is {step}.")
    elif step is not None and (high - low) / step > WIDEST:
        fault("step", f"the step of {name} is too small for its range.")
    if default is not None:
        if is_whole and not isinstance(default, int):
            fault("default", f"the default of {name} must be a whole number, not {default}.")
        elif not low <= default <= high:
            fault("default", f"the default of {name} must lie in [{low}, {high}], but is {default}.")
        elif step is not None and step > 0 and not on_grid(default, low, step):
            fault("default", f"the default of {name} must be {low} plus a multiple of {step}, but is {default}.")
    if len(errors) > before:
        return None
    if is_whole:
        guess = None if default is None else int(default)
        return Int(int(low), int(high), 1 if step is None else int(step), log, guess)
    real_step = None if step is None else float(step)
    return Float(float(low), float(high), real_step, log, None if default is None else float(default))


def same(a: Value, b: Value) -> bool:
    """Equality that keeps `1` and `true` apart."""
    return type(a) is type(b) and a == b


def on_grid(value: float, low: float, step: float) -> bool:
    """Whether `value` is `low` plus a multiple of `step`, in decimals as they are written."""
    return (Fraction(repr(value)) - Fraction(repr(low))) % Fraction(repr(step)) == 0


def _refuse_other_keys(name: str, node: MapNode, known: tuple[str, ...], errors: list[SpecError]) -> None:
    for key, mark in node.key_marks.items():
        if key not in known:
            errors.append(UnknownName.among(known, kind=f"key of {name}", name=key, mark=mark))

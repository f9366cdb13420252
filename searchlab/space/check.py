"""Whether every parameter of a space is an option of its plugin, and everything it may be is allowed there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeAlias, get_args, get_origin

import pydantic
from pydantic_core import ErrorDetails

from searchlab.config import written
from searchlab.config.validation import hint, is_out_of_range, said_by
from searchlab.config.wording import demand, members
from searchlab.errors import Mark, SpecError, SpecErrors, UnknownName
from searchlab.options import Options, layer_count_of
from searchlab.space import GROUPS, SELECTORS, Choice, Domain, Fixed, Float, Int, Parameter, Space, Value
from searchlab.space.measure import corners

PluginOptions: TypeAlias = Mapping[str, "Mapping[str, type[Options]] | type[Options]"]
"""For a selector the options of each plugin by name, for a group the options themselves."""


def check(space: Space, options: PluginOptions) -> None:
    """Hold every parameter of `space` against the options it sets.

    Raises:
        SpecErrors: Unknown plugins and options, values out of range, options that are required and missing.
    """
    errors: list[SpecError] = []
    names = set(space.names)
    if "model" not in names:
        errors.append(SpecError("the space names no model: it must have a section 'model'.", _first_mark(space)))
    owners: dict[str, tuple[type[Options], Mark | None]] = {}
    for section in SELECTORS:
        if section in names:
            parameter = space[section]
            plugins = options[section]
            assert isinstance(plugins, Mapping)
            for name in map(str, _values(parameter.domain)):
                if name in plugins:
                    owners[f"{section}.{name}"] = (plugins[name], parameter.mark)
                else:
                    errors.append(UnknownName.among(tuple(plugins), kind=section, name=name, mark=parameter.mark))
    for section in GROUPS:
        group = options[section]
        assert isinstance(group, type)
        owners[section] = (group, _first_mark(space))
    for owner, (model, mark) in owners.items():
        mine = [p for p in space.parameters if p.name.startswith(f"{owner}.")]
        errors += _faults_of(owner, model, mine, mark)
    errors += _faults_together(space, owners) if not errors else []
    if errors:
        raise SpecErrors(errors)


def _faults_of(owner: str, model: type[Options], parameters: list[Parameter], mark: Mark | None) -> list[SpecError]:
    """What is wrong with the parameters of one plugin or group."""
    errors: list[SpecError] = []
    given: set[str] = set()
    for parameter in parameters:
        field, _, layer = parameter.name.removeprefix(f"{owner}.").partition(".")
        if field in given:  # the other layers of the same option
            continue
        given.add(field)
        if field not in model.model_fields:
            known = tuple(model.model_fields)
            errors.append(UnknownName.among(known, kind=f"option of {owner}", name=field, mark=parameter.mark))
            continue
        count = layer_count_of(model, field)
        if layer and count is None:
            errors.append(SpecError(f"{field} cannot be per layer: {owner} has one for all layers.", parameter.mark))
        elif layer and not any(p.name == f"{owner}.{count}" for p in parameters):
            errors.append(SpecError(f"{field} is per layer of {count!r}, which {owner} does not set.", parameter.mark))
        else:
            errors += _faults(field, model, parameter)
    for field, info in model.model_fields.items():
        if info.is_required() and field not in given:
            errors.append(SpecError(f"{owner} must have {field!r}, which is missing.", mark))
    return errors


def _faults(field: str, model: type[Options], parameter: Parameter) -> list[SpecError]:
    """What is wrong with one parameter: the first of its values that the field refuses speaks for all."""
    info = model.model_fields[field]
    annotation, metadata = info.annotation, tuple(info.metadata)
    if layer_count_of(model, field) is not None:
        annotation, metadata = _item(model, field)
    domain = parameter.domain
    kinds = [one for one, _ in members(annotation)]
    if isinstance(domain, Int) and float in kinds and int not in kinds:
        message = (
            f"{field} is a real number, but both ends of its range are whole, which would try whole numbers only: "
            f"write {float(domain.low)} and {float(domain.high)}."
        )
        return [SpecError(message, parameter.mark)]
    for value in _values(domain):
        details = _refusals(field, model, annotation, metadata, value)
        if not details:
            continue
        for said in map(said_by, details):
            if said is not None:
                return [SpecError(f"{field}: {said.rstrip('.')} (its value {written(value)}).", parameter.mark)]
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and is_out_of_range(details)
        rule = demand(annotation, metadata, is_number=is_number)
        return [SpecError(f"{field} {rule}, but {_found(domain, value)}.{hint(value, annotation)}", parameter.mark)]
    return []


def _refusals(
    field: str, model: type[Options], annotation: Any, metadata: tuple[Any, ...], value: Value
) -> list[ErrorDetails]:
    """What pydantic says against `value` alone, the other fields left out."""
    found: list[ErrorDetails] = []
    if layer_count_of(model, field) is not None:
        kind: Any = Annotated[annotation, *metadata] if metadata else annotation
        try:
            pydantic.TypeAdapter(kind, config=pydantic.ConfigDict(strict=True)).validate_python(value)
        except pydantic.ValidationError as error:
            found += error.errors(include_url=False)
    if not found:
        try:
            model.model_validate({field: value}, strict=True)
        except pydantic.ValidationError as error:
            found += [one for one in error.errors(include_url=False) if one["loc"][:1] == (field,)]
    return found


def _item(model: type[Options], field: str) -> tuple[Any, tuple[Any, ...]]:
    """The type and constraints of one layer's value of a per-layer field."""
    info = model.model_fields[field]
    extra = info.json_schema_extra
    constraints: dict[str, Any] = {}
    if isinstance(extra, dict) and isinstance(extra["item"], dict):
        constraints |= extra["item"]
    kinds = [one for one, _ in members(info.annotation) if get_origin(one) not in (list, tuple)]
    rows = [one for one, _ in members(info.annotation) if get_origin(one) in (list, tuple)]
    kinds = kinds or [item for row in rows for item in get_args(row) if item is not Ellipsis]
    union = kinds[0]
    for one in kinds[1:]:
        union = union | one
    return union, tuple(pydantic.Field(**constraints).metadata)


def _faults_together(space: Space, owners: Mapping[str, tuple[type[Options], Mark | None]]) -> list[SpecError]:
    """What a plugin's own rules between options say at the corners of the space."""
    errors: list[SpecError] = []
    for params in corners(space):
        for owner, (model, mark) in owners.items():
            section, _, plugin = owner.partition(".")
            if plugin and params.values[section] != plugin:
                continue
            chosen = params.pick(section).options if plugin else params.group(section)
            try:
                model.model_validate(chosen, strict=True)
            except pydantic.ValidationError as error:
                for detail in error.errors(include_url=False):
                    said = said_by(detail) or detail["msg"]
                    errors.append(SpecError(f"{owner}: {said.rstrip('.')}, which a corner of the space breaks.", mark))
    return errors


def _values(domain: Domain) -> Iterable[Value]:
    """The values to try: all choices, both ends of a range and the step beside the low one."""
    match domain:
        case Fixed(value=value):
            return (value,)
        case Choice(values=values):
            return values
        case Int(low=low, high=high, step=step):
            return (low, high, low + step)
        case Float(low=real_low, high=real_high):
            return (real_low, real_high)


def _found(domain: Domain, value: Value) -> str:
    match domain:
        case Fixed():
            return f"is {written(value)}"
        case Choice():
            return f"{written(value)} is among its choices"
        case Int(low=low, high=high) | Float(low=low, high=high):
            return f"its range is [{low}, {high}]"


def _first_mark(space: Space) -> Mark | None:
    return space.parameters[0].mark if space.parameters else None

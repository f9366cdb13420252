"""What a plugin can be told: one pydantic class beside the code it configures, and the role of each field.

A field is a *shape* option (it changes the graph: filters, layers, batch size) or a *value* option (it changes a
number inside the same graph: a learning rate, a dropout rate).  Trials that share all shape options can be trained
as one cohort.

    class Options(searchlab.options.Options):
        depth: int = shape(2, ge=1, le=8)
        '''Blocks of convolution and pooling.'''
        width: int | list[int] = per_layer(32, count="depth", ge=1)
        '''Filters of each block.'''
        dropout: float = value(0.0, ge=0.0, lt=1.0)
        '''Share of units dropped before the output layer.'''
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import pydantic

Role = Literal["shape", "value"]


class Options(pydantic.BaseModel):
    """The root of every plugin's options: strict, frozen, no unknown names, docstrings become descriptions."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, validate_default=True
    )


def shape(default: Any = ..., **constraints: Any) -> Any:
    """A field that changes the graph of the model; `constraints` are pydantic's (`ge`, `lt`, …)."""
    return pydantic.Field(default, json_schema_extra={"role": "shape"}, **constraints)


def value(default: Any = ..., *, off: float | None = None, **constraints: Any) -> Any:
    """A field that changes a number inside the same graph; `constraints` are pydantic's (`ge`, `lt`, …).

    At the value `off` there is nothing to compute, and the graph is another one, without it.
    """
    extra: dict[str, Any] = {"role": "value"} if off is None else {"role": "value", "off": off}
    return pydantic.Field(default, json_schema_extra=extra, **constraints)


def per_layer(default: Any = ..., *, count: str, role: Role = "shape", **constraints: Any) -> Any:
    """A field that holds one value for all layers or a list of one a layer; `count` names the field that counts them.

    The constraints hold for each value.
    """
    return pydantic.Field(default, json_schema_extra={"role": role, "per_layer": count, "item": dict(constraints)})


def on_disk(default: Any = ..., *, unless: str | None = None) -> Any:
    """A field that names a file or folder, counted from the study file's folder; `unless` is a word that names none."""
    return pydantic.Field(default, json_schema_extra={"on_disk": True, "unless": unless})


def places(options: Options) -> dict[str, str]:
    """The files and folders that `options` name, by field."""
    found: dict[str, str] = {}
    for name, field in type(options).model_fields.items():
        extra, here = field.json_schema_extra, getattr(options, name)
        if isinstance(extra, dict) and extra.get("on_disk") and here not in (None, extra.get("unless")):
            found[name] = here
    return found


def role_of(options: type[Options], field: str) -> Role:
    """Whether `field` of `options` is a shape or a value option; plain pydantic fields count as shape."""
    extra = options.model_fields[field].json_schema_extra
    return "value" if isinstance(extra, dict) and extra.get("role") == "value" else "shape"


def is_off(options: Options, field: str) -> bool:
    """Whether `field` has the value at which its part of the graph is left out."""
    extra = type(options).model_fields[field].json_schema_extra
    return isinstance(extra, dict) and "off" in extra and bool(getattr(options, field) == extra["off"])


def layer_count_of(options: type[Options], field: str) -> str | None:
    """The name of the field that counts the layers of the per-layer field `field`; None for an ordinary one."""
    extra = options.model_fields[field].json_schema_extra
    return str(extra["per_layer"]) if isinstance(extra, dict) and "per_layer" in extra else None


def spread(setting: Any, count: int) -> tuple[Any, ...]:
    """A per-layer setting as a tuple of `count` values: a single value is repeated, a list gives its first `count`."""
    if isinstance(setting, Iterable) and not isinstance(setting, str):
        values = tuple(setting)
        return values[:count] if len(values) >= count else values + (values[-1],) * (count - len(values))
    return (setting,) * count

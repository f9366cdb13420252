"""JSON Schema of study and space files, for editors: made from the `Options` of every plugin and the spec's own.

Draft 7, the newest that VS Code's YAML extension reads in full.  Conditions on names (`source: csv` brings csv's
options) are `if`/`then` with closed `then` branches, since `unevaluatedProperties` came later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel

from searchlab.catalog import Catalog
from searchlab.data import SOURCES, SPLITS
from searchlab.data.copies import Policy
from searchlab.executors import EXECUTORS
from searchlab.models.augment import AugmentOptions
from searchlab.options import Options, layer_count_of
from searchlab.runner.engines import AUTO
from searchlab.runner.plugins import SELECTED, options_of
from searchlab.search import PRUNERS, SAMPLERS
from searchlab.spec import NAME, ExecutionSpec, SplitSpec, TrackingSpec, TrainingSpec
from searchlab.spec.build import SEARCH_PLUGINS, Budget
from searchlab.tasks import TASKS
from searchlab.training import ENGINES, TrainingOptions

Schema: TypeAlias = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
_NULL: Schema = {"type": "null"}
_SCALAR: Schema = {"type": ["null", "boolean", "number", "string"]}


def study_schema() -> Schema:
    """The schema of a study file."""
    return {
        "$schema": DRAFT,
        "title": "searchlab study",
        **_closed(
            {
                "study": {"type": "string", "pattern": f"^{NAME}$", "description": "Its name."},
                "data": _data(),
                "task": {**_names(TASKS), "description": "What is learned."},
                "space": {
                    "anyOf": [{"type": "string", "description": "A space file, from this file's folder."}, _space()],
                    "description": "What may vary.",
                },
                "search": _search(),
                "training": _section(TrainingSpec, engine={"enum": [AUTO, *ENGINES.names()]}),
                "execution": _section(ExecutionSpec, executor=_names(EXECUTORS)),
                "tracking": _section(TrackingSpec),
                "storage": {
                    "type": ["string", "null"],
                    "description": "URL of the Optuna storage; null is the embedded store.",
                },
                "seed": {"type": "integer", "minimum": 0, "default": 0, "description": "Of all that is random."},
            },
            required=["study", "data", "task", "space"],
        ),
    }


def space_schema() -> Schema:
    """The schema of a search-space file."""
    return {"$schema": DRAFT, "title": "searchlab search space", **_space()}


def _space() -> Schema:
    sections = {section: _selector(options_of(catalog), catalog) for section, catalog in SELECTED.items()}
    sections["training"] = _members(TrainingOptions, "How each trial feeds its optimizer.")
    sections["augment"] = _members(AugmentOptions, "How training images are changed at random.")
    tasks = [_members(options, TASKS.summary(name)) for name, options in options_of(TASKS).items()]
    sections["task"] = {"anyOf": [*tasks, _NULL], "description": "Options of the study's task."}
    return _closed(sections, required=["model"])


def _selector(options: Mapping[str, type[Options]], catalog: Catalog[Any]) -> Schema:
    """A name, a list of names, or names with what each may vary."""
    names: Schema = {"enum": list(options)}
    members: Schema = {name: _members(model, catalog.summary(name)) for name, model in options.items()}
    members["default"] = {**names, "description": "The first guess."}
    return {
        "description": f"Choice of the {catalog.kind}.",
        "anyOf": [names, {"type": "array", "items": names, "minItems": 1}, _closed(members)],
    }


def _members(model: type[Options], description: str) -> Schema:
    """The options of one plugin, each with all that the grammar allows for it."""
    fields = _properties(model)
    varied = {name: _varied(model, name, schema) for name, schema in fields.items()}
    return {**_closed(varied), "type": ["object", "null"], "description": description}


def _varied(model: type[Options], name: str, schema: Schema) -> Schema:
    """One option in the grammar: fixed, choices, a range, choices with a first guess, per layer."""
    words: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    value = {key: content for key, content in schema.items() if key not in words}
    layered = layer_count_of(model, name) is not None
    if layered:
        value = {"anyOf": [one for one in value["anyOf"] if one.get("type") != "array"]} if "anyOf" in value else value
        extra = model.model_fields[name].json_schema_extra
        limits = extra["item"] if isinstance(extra, dict) else {}
        value = {"allOf": [value, _limits(limits if isinstance(limits, dict) else {})]}
    forms = _forms(value)
    if layered:
        forms.append(_closed({"per_layer": {"anyOf": list(forms)}}, required=["per_layer"]))
    return {**words, "anyOf": forms}


def _forms(value: Schema) -> list[Schema]:
    choices: Schema = {"type": "array", "items": value, "minItems": 1}
    bounds = {
        "low": {"type": "number"},
        "high": {"type": "number"},
        "step": {"type": "number", "exclusiveMinimum": 0},
        "log": {"type": "boolean"},
        "default": {"type": "number"},
    }
    return [
        value,
        choices,
        _closed(bounds, required=["low", "high"]),
        _closed({"choices": choices, "default": _SCALAR}, required=["choices"]),
    ]


def _limits(constraints: Mapping[str, Any]) -> Schema:
    names = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
    return {names[key]: limit for key, limit in constraints.items() if key in names}


def _data() -> Schema:
    own: Schema = {
        "source": {**_names(SOURCES), "description": "Where the examples come from."},
        "split": _section(SplitSpec, by=_names(SPLITS)),
        "shuffle_labels": {"type": "boolean", "default": False, "description": "A null study: nothing to learn."},
        "duplicates": {
            "enum": list(get_args(Policy)),
            "default": "warn",
            "description": "What is done about copies, equal or (images) nearly so, in two parts of the split.",
        },
    }
    branches = []
    for name, options in options_of(SOURCES).items():
        required = [field for field, info in options.model_fields.items() if info.is_required()]
        closed = _closed({**own, **_properties(options)}, required=["source", *required])
        branches.append({"if": {"properties": {"source": {"const": name}}}, "then": closed})
    return {"type": "object", "required": ["source"], "properties": own, "allOf": branches}


def _search() -> Schema:
    properties = _properties(Budget)
    for key, catalog in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
        options = {
            name: {**_section(model), "description": catalog.summary(name)}
            for name, model in options_of(catalog).items()
        }
        single = {**_closed(options), "minProperties": 1, "maxProperties": 1}
        properties[key] = {"anyOf": [_names(catalog), single], "default": SEARCH_PLUGINS[key]}
    for key, words in (("timeout", "No trial begins after this time"), ("trial_timeout", "A trial trains no longer")):
        properties[key] = {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": "^([0-9.]+[dhms])+$"},
                _NULL,
            ],
            "description": f"{words}: seconds, or 30m, 2h, 1h30m.",
        }
    return {**_closed(properties), "type": ["object", "null"], "description": "How configurations are chosen."}


def _section(model: type[BaseModel], **replaced: Schema) -> Schema:
    """A section with plain values; `replaced` gives some of its keys a schema of their own."""
    properties = {name: {**schema, **(replaced.get(name) or {})} for name, schema in _properties(model).items()}
    words = (model.__doc__ or "").partition("\n")[0]
    required = [name for name, info in model.model_fields.items() if info.is_required()]
    return {**_closed(properties, required=required), "type": ["object", "null"], "description": words}


def _properties(model: type[BaseModel]) -> Schema:
    """The schema of each field, self-contained and without pydantic's titles and our roles."""
    whole = model.model_json_schema()
    definitions = whole["$defs"] if "$defs" in whole else {}
    cleaned = _cleaned(whole["properties"] if "properties" in whole else {}, definitions)
    assert isinstance(cleaned, dict)
    return cleaned


def _cleaned(content: Any, definitions: Schema, *, is_names: bool = True) -> Any:
    """`content` with references written out; below a mapping of names nothing is taken for a keyword."""
    if isinstance(content, list):
        return [_cleaned(item, definitions, is_names=False) for item in content]
    if not isinstance(content, dict):
        return content
    if not is_names and "$ref" in content:
        target = definitions[content["$ref"].rpartition("/")[2]]
        return _cleaned({**target, **{k: v for k, v in content.items() if k != "$ref"}}, definitions, is_names=False)
    drop = () if is_names else ("title", "role", "off", "per_layer", "item", "on_disk", "unless")
    if not is_names and "prefixItems" in content:  # draft 7 wrote fixed lists otherwise
        fixed = {"items": content["prefixItems"], "additionalItems": False}
        content = {key: item for key, item in content.items() if key not in ("prefixItems", "items")} | fixed
    return {
        key: item
        if key in ("default", "enum", "const") and not is_names
        else _cleaned(item, definitions, is_names=not is_names and key == "properties")
        for key, item in content.items()
        if key not in drop
    }


def _names(catalog: Catalog[Any]) -> Schema:
    return {"enum": list(catalog.names())}


def _closed(properties: Schema, *, required: list[str] | None = None) -> Schema:
    closed: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**closed, "required": required} if required else closed

"""Every plugin by kind, and what each can be told; nothing here loads Keras, Optuna or MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from searchlab.catalog import Catalog
from searchlab.data import SOURCES, SPLITS
from searchlab.errors import UnknownName
from searchlab.executors import EXECUTORS
from searchlab.models import FAMILIES
from searchlab.models.augment import AugmentOptions
from searchlab.models.backbones import BACKBONES
from searchlab.optim import OPTIMIZERS, SCHEDULES
from searchlab.options import Options, layer_count_of, role_of
from searchlab.search import PRUNERS, SAMPLERS
from searchlab.space.check import PluginOptions
from searchlab.space.grammar import depth_counts
from searchlab.tasks import TASKS
from searchlab.tracking import TRACKERS
from searchlab.training import ENGINES, TrainingOptions

CATALOGS: Mapping[str, Catalog[Any]] = {
    "families": FAMILIES,
    "backbones": BACKBONES,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "tasks": TASKS,
    "sources": SOURCES,
    "splits": SPLITS,
    "samplers": SAMPLERS,
    "pruners": PRUNERS,
    "engines": ENGINES,
    "executors": EXECUTORS,
    "trackers": TRACKERS,
}
"""All plugin points by the name that `searchlab list` gives them."""

SELECTED: Mapping[str, Catalog[Any]] = {"model": FAMILIES, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}
"""What each selector of a search space chooses from."""


def options_of(catalog: Catalog[Any]) -> dict[str, type[Options]]:
    """The options of every plugin in `catalog` that has some."""
    plugins = {name: catalog.get(name) for name in catalog.names()}
    return {name: plugin.Options for name, plugin in plugins.items() if hasattr(plugin, "Options")}


def space_options(task: str) -> PluginOptions:
    """What a search space may set in a study of `task`.

    Raises:
        UnknownName: No task is called `task`.
    """
    selectors = {section: options_of(catalog) for section, catalog in SELECTED.items()}
    return {**selectors, **_groups(task)}


def value_parameters(task: str) -> Callable[[str], bool]:
    """Whether a parameter only changes numbers inside the same graph, in a study of `task`.

    The optimizer and the schedule with all their options are numbers to the engines that train cohorts.
    """
    groups = _groups(task)

    def is_value(name: str) -> bool:
        section, *path = name.split(".")
        if section in ("optimizer", "schedule"):
            return True
        if section == "model" and len(path) > 1:
            return _has_value_role(FAMILIES, path[0], path[1])
        return section in groups and bool(path) and _is_value_option(groups[section], path[0])

    return is_value


def _groups(task: str) -> dict[str, type[Options]]:
    return {"task": TASKS.get(task).Options, "training": TrainingOptions, "augment": AugmentOptions}


def _has_value_role(catalog: Catalog[Any], member: str, field: str) -> bool:
    try:
        return _is_value_option(catalog.get(member).Options, field)
    except UnknownName:
        return False


def _is_value_option(options: type[Options], field: str) -> bool:
    return field in options.model_fields and role_of(options, field) == "value"


def layer_count(selector: str, member: str, field: str) -> str:
    """The option that counts the layers of a per-layer one, as its plugin says; "depth" when there is none such.

    For `load_study(…, count_of=layer_count)`, which plugins of others need when they count by another name.
    """
    try:
        options = SELECTED[selector].get(member).Options
    except UnknownName:
        return depth_counts(selector, member, field)
    if field not in options.model_fields:
        return depth_counts(selector, member, field)
    return layer_count_of(options, field) or depth_counts(selector, member, field)

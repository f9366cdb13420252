"""From the node of a study file to a `StudySpec`; every fault of the file at once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast, get_args

from pydantic import BaseModel, Field

from searchlab.config import ListNode, MapNode, Node, ScalarNode, describe, marks, node_of, plain
from searchlab.config.validation import validate
from searchlab.data.copies import Policy
from searchlab.errors import SpecError, SpecErrors, UnknownName, nearest
from searchlab.options import Options
from searchlab.records import Direction
from searchlab.space import Space
from searchlab.space.grammar import CountOf, depth_counts, parse
from searchlab.spec import (
    NAME,
    DataSpec,
    ExecutionSpec,
    Plugin,
    SearchSpec,
    SplitSpec,
    StudySpec,
    TrackingSpec,
    TrainingSpec,
)
from searchlab.spec.duration import seconds
from searchlab.spec.environment import expand

KEYS = ("study", "data", "task", "space", "search", "training", "execution", "tracking", "storage", "seed")
REQUIRED = ("study", "data", "task", "space")
SEARCH_PLUGINS = {"sampler": "tpe", "pruner": "successive_halving"}
"""The plugins that `search:` names, and those it takes when it names none."""

TIMES = ("timeout", "trial_timeout")
"""The durations that `search:` may name."""

DATA_KEYS = ("source", "split", "shuffle_labels", "duplicates")
"""What `data:` holds beside the options of the source."""

M = TypeVar("M", bound=BaseModel)


class Budget(Options):
    """The plain values of `search:`."""

    trials: int = Field(20, ge=1, le=1_000_000)
    """Trials in all."""
    objective: str | None = Field(None, min_length=1)
    """A validation metric such as "val_accuracy"; null is the task's own."""
    direction: Direction | None = None
    """Which way is better; null is the metric's own."""


def build(node: Node, *, folder: Path = Path(), count_of: CountOf = depth_counts) -> StudySpec:
    """The spec that `node` describes, its space inline; relative data paths will count from `folder`.

    Raises:
        SpecErrors: All that is wrong, each at its place.
    """
    return _Build(node, folder, count_of).spec()


class _Build:
    """One study file on its way to a spec."""

    def __init__(self, node: Node, folder: Path, count_of: CountOf) -> None:
        if not isinstance(node, MapNode):
            message = f"a study must be a mapping of {', '.join(KEYS)}, not {describe(node)}."
            raise SpecErrors([SpecError(message, node.mark)])
        self.node = node
        self.folder = folder
        self.count_of = count_of
        self.errors: list[SpecError] = []
        self.as_written: dict[tuple[str, ...], str] = {}

    def spec(self) -> StudySpec:
        """Build every part before any fault is raised."""
        self._refuse_unknown()
        self._refuse_non_finite(self.node)
        name = self._name()
        data = self._data()
        task = self._text("task")
        space = self._space()
        search = self._search()
        training = self._section("training", TrainingSpec)
        execution = self._section("execution", ExecutionSpec)
        tracking = self._section("tracking", TrackingSpec, expanded=True)
        storage = self._storage()
        seed = self._seed()
        if self.errors:
            raise SpecErrors(self.errors)
        assert name is not None and data is not None and task is not None and space is not None
        assert search is not None and training is not None and execution is not None and tracking is not None
        if tracking.experiment is None:
            tracking = tracking.model_copy(update={"experiment": name})
        return StudySpec(
            name=name,
            data=data,
            task=task,
            space=space,
            search=search,
            training=training,
            execution=execution,
            tracking=tracking,
            storage=storage,
            seed=seed,
            folder=self.folder,
            marks=dict(marks(self.node)),
            as_written=self.as_written,
        )

    def _refuse_unknown(self) -> None:
        for key, mark in self.node.key_marks.items():
            if key not in KEYS:
                self.errors.append(UnknownName.among(KEYS, kind="key of a study", name=key, mark=mark))
        for key in REQUIRED:
            if self._written(key) is None:
                self.errors.append(SpecError(f"a study must have {key!r}, which is missing.", self.node.mark))

    def _refuse_non_finite(self, node: Node, key: str = "study") -> None:
        match node:
            case ScalarNode(value=float(value), mark=mark) if not math.isfinite(value):
                self.errors.append(SpecError(f"{key} must be a finite number, not {value}.", mark))
            case ListNode(items=items):
                for item in items:
                    self._refuse_non_finite(item, key)
            case MapNode(items=entries):
                for name, item in entries.items():
                    if node is not self.node or name != "space":  # the grammar of spaces says it better
                        self._refuse_non_finite(item, name)
            case _:
                pass

    def _name(self) -> str | None:
        name = self._text("study")
        if name is not None and re.fullmatch(NAME, name) is None:
            message = (
                "the name of a study must be 1 to 100 letters, digits, '.', '_' or '-', the first a letter or digit, "
                f"not {describe(self.node.items['study'])}."
            )
            self.errors.append(SpecError(message, self.node.items["study"].mark))
        return name

    def _data(self) -> DataSpec | None:
        node = self._written("data")
        if node is None:
            return None
        if not isinstance(node, MapNode):
            message = f"data must be a mapping with 'source', not {describe(node)}."
            self.errors.append(SpecError(message, node.mark))
            return None
        split = None
        with self._collecting():
            split = validate(_part(node, "split"), SplitSpec, what="data.split")
        shuffled = _part(node, "shuffle_labels", False)
        if not isinstance(shuffled, ScalarNode) or not isinstance(shuffled.value, bool):
            message = f"shuffle_labels must be true or false, not {describe(shuffled)}."
            self.errors.append(SpecError(message, shuffled.mark))
        duplicates = self._duplicates(_part(node, "duplicates", "warn"))
        source = _part(node, "source")
        if not isinstance(source, ScalarNode) or not isinstance(source.value, str):
            what = describe(source) if "source" in node.items else "missing"
            self.errors.append(SpecError(f"data.source must be the name of a data source, not {what}.", source.mark))
            return None
        options = expand(node.without(*DATA_KEYS), ("data",), self.as_written, self.errors)
        assert split is not None or self.errors
        plugin = Plugin(source.value, plain(options), options, source.mark)
        return DataSpec(plugin, split or SplitSpec(), plain(shuffled) is True, duplicates)

    def _duplicates(self, node: Node) -> Policy:
        for policy in get_args(Policy):
            if isinstance(node, ScalarNode) and node.value == policy:
                return cast(Policy, policy)
        known = ", ".join(get_args(Policy))
        near = nearest(str(plain(node)), get_args(Policy)) if isinstance(node, ScalarNode) else ""
        self.errors.append(SpecError(f"duplicates must be one of {known}, not {describe(node)}.{near}", node.mark))
        return "warn"

    def _space(self) -> Space | None:
        node = self._written("space")
        if node is not None:
            with self._collecting():
                return parse(node, count_of=self.count_of)
        return None

    def _search(self) -> SearchSpec | None:
        node = self._mapping("search")
        if node is None:
            return None
        plugins = {key: self._plugin(key, _part(node, key, default)) for key, default in SEARCH_PLUGINS.items()}
        budget = None
        known = (*SEARCH_PLUGINS, *TIMES, *Budget.model_fields)
        unknown = [key for key in node.items if key not in known]
        for key in unknown:
            self.errors.append(UnknownName.among(known, kind="key of search", name=key, mark=node.key_marks[key]))
        with self._collecting():
            budget = validate(node.without(*SEARCH_PLUGINS, *TIMES, *unknown), Budget, what="search")
        times = {key: self._seconds(node, key) for key in TIMES}
        sampler, pruner = plugins["sampler"], plugins["pruner"]
        if budget is None or sampler is None or pruner is None:
            return None
        return SearchSpec(
            sampler,
            pruner,
            trials=budget.trials,
            **times,
            objective=budget.objective,
            direction=budget.direction,
        )

    def _seconds(self, node: MapNode, key: str) -> float | None:
        limit = _part(node, key)
        if isinstance(limit, ScalarNode) and limit.value is None:
            return None
        try:
            return seconds(plain(limit))
        except ValueError as error:
            self.errors.append(SpecError(f"{key} must be {error}, not {describe(limit)}.", limit.mark))
            return None

    def _plugin(self, key: str, node: Node) -> Plugin | None:
        match node:
            case ScalarNode(value=str(name), mark=mark):
                return Plugin(name, {}, MapNode({}, {}, mark), mark)
            case MapNode(items=entries) if len(entries) == 1:
                (name, options) = next(iter(entries.items()))
                if isinstance(options, ScalarNode) and options.value is None:
                    options = MapNode({}, {}, options.mark)
                if isinstance(options, MapNode):
                    return Plugin(name, plain(options), options, node.key_marks[name])
        message = f"{key} must be a name, or one name with its options as in {{name: {{option: value}}}}."
        self.errors.append(SpecError(message, node.mark))
        return None

    def _section(self, key: str, model: type[M], *, expanded: bool = False) -> M | None:
        node: Node = _part(self.node, key)
        if expanded:
            node = expand(node, (key,), self.as_written, self.errors)
        with self._collecting():
            return validate(node, model, what=key)
        return None

    def _storage(self) -> str | None:
        node = expand(_part(self.node, "storage"), ("storage",), self.as_written, self.errors)
        if isinstance(node, ScalarNode) and (node.value is None or isinstance(node.value, str)):
            if node.value != "":
                return node.value
        self.errors.append(
            SpecError(f"storage must be the URL of a database, or null, not {describe(node)}.", node.mark)
        )
        return None

    def _seed(self) -> int:
        node = _part(self.node, "seed", 0)
        if isinstance(node, ScalarNode) and type(node.value) is int and node.value >= 0:
            return node.value
        self.errors.append(SpecError(f"seed must be a whole number at least 0, not {describe(node)}.", node.mark))
        return 0

    def _text(self, key: str) -> str | None:
        node = self._written(key)
        if node is None or (isinstance(node, ScalarNode) and isinstance(node.value, str)):
            return None if node is None else str(plain(node))
        self.errors.append(SpecError(f"{key} must be a name, not {describe(node)}.", node.mark))
        return None

    def _mapping(self, key: str) -> MapNode | None:
        node = _part(self.node, key)
        if isinstance(node, ScalarNode) and node.value is None:
            return MapNode({}, {}, node.mark)
        if isinstance(node, MapNode):
            return node
        self.errors.append(SpecError(f"{key} must be a mapping of names to values, not {describe(node)}.", node.mark))
        return None

    def _written(self, key: str) -> Node | None:
        """What the file says under `key`; None when nothing or null."""
        node = _part(self.node, key)
        return None if isinstance(node, ScalarNode) and node.value is None else node

    @contextmanager
    def _collecting(self) -> Iterator[None]:
        try:
            yield
        except SpecError as error:
            self.errors.append(error)


def _part(node: MapNode, key: str, default: object = None) -> Node:
    return node.items[key] if key in node.items else node_of(default, node.mark)

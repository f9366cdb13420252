"""What may vary: the nouns of a search space, and the values of one trial.

A space is a flat list of parameters in the order of the YAML, parents before children.  Names are paths:

    model                           the family          (choice or fixed)
    model.cnn.depth                 an option of cnn    (active only while model == "cnn")
    model.cnn.width.2               the second layer's  (active only while model.cnn.depth >= 2)
    optimizer, optimizer.adam.learning_rate, schedule, schedule.cosine.final
    training.batch_size, task.label_smoothing, augment.rotation

`model`, `optimizer` and `schedule` choose a plugin (`SELECTORS`); the others are plain groups (`GROUPS`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from searchlab.errors import Mark

Value: TypeAlias = bool | int | float | str | None

SELECTORS = ("model", "optimizer", "schedule")
"""Sections whose value names a plugin that owns further parameters."""

GROUPS = ("task", "training", "augment")
"""Sections that only hold parameters."""


@dataclass(frozen=True)
class Fixed:
    """One value, never varied."""

    value: Value


@dataclass(frozen=True)
class Choice:
    """One of `values` (at least two, all different); `default` is the first guess, None when none was marked."""

    values: tuple[Value, ...]
    default: Value = None
    has_default: bool = False


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high], both ends included, in steps of `step` from `low`."""

    low: int
    high: int
    step: int = 1
    log: bool = False
    default: int | None = None


@dataclass(frozen=True)
class Float:
    """A real number in [low, high], in steps of `step` from `low` when given."""

    low: float
    high: float
    step: float | None = None
    log: bool = False
    default: float | None = None


Domain: TypeAlias = Fixed | Choice | Int | Float


@dataclass(frozen=True)
class Condition:
    """Active while `parent` is active and has one of `values`."""

    parent: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Parameter:
    """One dimension of a space: its name, what it may be, when it counts, and where it was written."""

    name: str
    domain: Domain
    condition: Condition | None = None
    mark: Mark | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Pick:
    """A chosen plugin and the options that a trial gives it (JSON values; per-layer ones as lists)."""

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Params:
    """The values of one trial: every active parameter by name, fixed ones included, in the order of the space."""

    values: Mapping[str, Value]

    def pick(self, selector: str, default: str | None = None) -> Pick:
        """The plugin chosen for `selector` and its options; `default` serves a space without that section."""
        name = self.values.get(selector, default)
        if not isinstance(name, str):
            raise KeyError(selector)
        return Pick(name, self._below(f"{selector}.{name}."))

    def group(self, name: str) -> dict[str, Any]:
        """The options of the plain group `name` ("training", "task", "augment")."""
        return self._below(f"{name}.")

    def labels(self) -> dict[str, Value]:
        """The values by short name, without the name of the branch: `model.cnn.depth` reads `model.depth`."""
        return {label(name): value for name, value in self.values.items()}

    def digest(self) -> str:
        """16 hex digits that equal configurations share, whatever the order of their names."""
        text = json.dumps(sorted(self.values.items()), separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def shape_key(self, is_value: Callable[[str], bool]) -> tuple[tuple[str, Value], ...]:
        """What trials of one cohort share: all values but those for whose name `is_value` holds."""
        return tuple(sorted((n, v) for n, v in self.values.items() if not is_value(n)))

    def _below(self, prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in self.values.items():
            if name.startswith(prefix):
                field, _, layer = name.removeprefix(prefix).partition(".")
                if layer:
                    found.setdefault(field, []).append(value)
                else:
                    found[field] = value
        return found


def label(name: str) -> str:
    """The short name of a parameter: the branch is left out, since only one branch is active in a trial."""
    parts = name.split(".")
    return ".".join([parts[0], *parts[2:]]) if parts[0] in SELECTORS and len(parts) > 2 else name


@dataclass(frozen=True)
class Space:
    """All parameters of a study, parents before children."""

    parameters: tuple[Parameter, ...]

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all parameters, fixed ones included."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def varied(self) -> tuple[Parameter, ...]:
        """The parameters that are not fixed."""
        return tuple(p for p in self.parameters if not isinstance(p.domain, Fixed))

    @property
    def is_conditional(self) -> bool:
        """Whether some varied parameter hangs on another varied one."""
        free = {parameter.name for parameter in self.varied}
        return any(p.condition is not None and p.condition.parent in free for p in self.varied)

    def resolve(self, choose: Callable[[Parameter], Value]) -> Params:
        """Walk the space from parents to children, asking `choose` for each active parameter that is not fixed."""
        values: dict[str, Value] = {}
        for parameter in self.parameters:
            condition = parameter.condition
            if condition is None or (condition.parent in values and values[condition.parent] in condition.values):
                domain = parameter.domain
                values[parameter.name] = domain.value if isinstance(domain, Fixed) else choose(parameter)
        return Params(values)

    def digest(self) -> str:
        """16 hex digits that equal spaces share; the places in the file do not count."""
        rows = [
            (p.name, type(p.domain).__name__, sorted(vars(p.domain).items()), p.condition and vars(p.condition))
            for p in self.parameters
        ]
        return hashlib.sha256(json.dumps(rows, default=list).encode()).hexdigest()[:16]

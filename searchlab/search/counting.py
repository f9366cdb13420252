"""The configurations of a space as a numbered list that is never written out: how many there are, and the n-th one.

Inactive parameters do not count: a branch is visited once for each setting of its own parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from searchlab.space import Parameter, Params, Space, Value

Points = Callable[[Parameter], Sequence[Value]]
"""The values that a parameter takes on the list."""


def count(space: Space, points: Points) -> int:
    """How many configurations there are."""
    return _Tree(space, points).size(0, {})


def configuration(space: Space, points: Points, index: int) -> Params:
    """The configuration at `index`, in [0, count)."""
    return _Tree(space, points).at(index)


def scattered(index: int, size: int, offset: int) -> int:
    """The `index`-th place of a walk that visits all of [0, size) once, far apart, from `offset` on; then again."""
    stride = max(1, round(size * (math.sqrt(5) - 1) / 2))  # the golden ratio: the next place is far from all before
    while math.gcd(stride, size) != 1:
        stride += 1
    return (offset + index * stride) % size


class _Tree:
    """Sizes of the subtrees below each parameter; they depend only on the values that later conditions look at."""

    def __init__(self, space: Space, points: Points) -> None:
        self._rows = [(parameter, tuple(points(parameter))) for parameter in space.parameters]
        parents = [parameter.condition.parent if parameter.condition else "" for parameter in space.parameters]
        self._watched = [set(parents[i:]) for i in range(len(parents) + 1)]
        self._known: dict[tuple[object, ...], int] = {}

    def size(self, i: int, values: Mapping[str, Value]) -> int:
        """Configurations of the parameters from the `i`-th on, given the values before."""
        if i == len(self._rows):
            return 1
        kept = {name: value for name, value in values.items() if name in self._watched[i]}
        key = (i, *((name, type(value), value) for name, value in sorted(kept.items())))
        if key not in self._known:
            parameter, points = self._rows[i]
            if not _is_active(parameter, values):
                self._known[key] = self.size(i + 1, kept)
            elif parameter.name in self._watched[i + 1]:
                self._known[key] = sum(self.size(i + 1, {**kept, parameter.name: value}) for value in points)
            else:
                self._known[key] = len(points) * self.size(i + 1, kept)
        return self._known[key]

    def at(self, index: int) -> Params:
        """The configuration at `index`."""
        values: dict[str, Value] = {}
        for i, (parameter, points) in enumerate(self._rows):
            if _is_active(parameter, values):
                for value in points:
                    below = self.size(i + 1, {**values, parameter.name: value})
                    if index < below:
                        values[parameter.name] = value
                        break
                    index -= below
        return Params(values)


def _is_active(parameter: Parameter, values: Mapping[str, Value]) -> bool:
    condition = parameter.condition
    return condition is None or (condition.parent in values and values[condition.parent] in condition.values)

"""Which trials are trained together: cohorts of one shape, which one traced program and one population can hold.

Why two ways.  Where draw n is a function of (seed, n) alone (`random`, `qmc`, `grid`), nothing is lost by training the
draws in another order: those ahead are drawn, stored as waiting, and handed out shape by shape.  The set of trials of a
finished study is exactly that of one trial after another; one that is stopped early has tried some shapes more than
others.  A sampler that learns (`tpe`) proposes the first trial of a cohort as ever; the others get its shape and
values of their own, each drawn while the ones before it count as running.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from searchlab.space import Value

Shape: TypeAlias = tuple[tuple[str, Value], ...]
"""What `Params.shape_key` gives."""

AHEAD = 1024
"""So many independent draws are sorted by shape at once: what a study draws before its first trial, half a second."""


def size(finished: int, most: int) -> int:
    """How many trials a learning sampler may draw for one shape when so many have finished."""
    return max(1, min(most, finished // 4))


def next_cohort(
    waiting: Mapping[int, Shape | None], most: int, *, prefer: Sequence[Shape] = (), avoid: Collection[Shape] = ()
) -> tuple[int, ...]:
    """The numbers of at most `most` waiting trials of one shape, in their order; none when none waits.

    `waiting` has the shape of each by its number, and None for a trial that must be trained alone.  The first of the
    shapes in `prefer` that is there is taken, else that of the earliest trial outside `avoid`, else of the earliest.
    """
    groups: dict[Shape | int, list[int]] = {}
    for number in sorted(waiting):
        shape = waiting[number]
        groups.setdefault(number if shape is None else shape, []).append(number)
    choices: list[Shape | int] = [shape for shape in prefer if shape in groups]
    choices += [key for key in groups if key not in avoid]
    choices += list(groups)
    return tuple(groups[choices[0]][: max(1, most)]) if choices else ()

"""Which trials are trained together: cohorts of one shape, which one traced program and one population can hold.

Why two ways.  Where draw n is a function of (seed, n) alone (`random`, `qmc`, `grid`), nothing is lost by training the
draws in another order: those ahead are drawn, stored as waiting, and handed out shape by shape.  The set of trials of a
finished study is exactly that of one trial after another; one that is stopped early has tried some shapes more than
others.  A pruner sees them in another order too; successive halving judges each by those that came so far in any case.
A sampler that learns (`tpe`) proposes the first trial of a cohort as ever; the others get its shape and values of their
own, each drawn while the ones before it count as running.

Why a quarter of the finished trials at most: a cohort cannot learn from itself.  On 14 recorded benchmarks (7 have
parameters of shape), 20 seeds, `tpe`: regret (0 best known, 1 median random) after 5, 10 and 20 full trainings, and the
mean difference to one after another with its 95 % interval (`benchmarks/cohorts.py`):

    no pruner  1            0.573                         0.417                         0.290
               4            0.520 +0.030 [-0.010, 0.069]  0.426 +0.010 [-0.005, 0.025]  0.321 +0.020 [+0.004, 0.037]
               8            0.532 +0.029 [-0.021, 0.080]  0.433 +0.038 [+0.014, 0.062]  0.344 +0.068 [+0.038, 0.095]
               16           0.645 +0.123 [+0.073, 0.169]  0.433 +0.038 [+0.007, 0.066]  0.334 +0.059 [+0.017, 0.099]
               finished/2   0.541 -0.001 [-0.014, 0.010]  0.404 -0.006 [-0.015, 0.003]  0.304 +0.013 [-0.009, 0.035]
               finished/4   0.573 +0.000                  0.408 -0.007 [-0.018, 0.000]  0.279 -0.001 [-0.019, 0.016]
               finished/8   0.573 +0.000                  0.417 +0.000                  0.280 -0.009 [-0.016, -0.003]
    halving    1            0.377                         0.295                         0.266
               4            0.386 +0.016 [-0.006, 0.043]  0.273 +0.002 [-0.018, 0.021]  0.240 -0.010 [-0.023, 0.001]
               8            0.385 +0.014 [-0.017, 0.047]  0.287 +0.002 [-0.028, 0.030]  0.243 -0.013 [-0.037, 0.012]
               16           0.470 +0.046 [+0.010, 0.083]  0.284 -0.001 [-0.029, 0.025]  0.243 -0.007 [-0.030, 0.014]
               finished/4   0.376 -0.007 [-0.027, 0.016]  0.281 -0.008 [-0.029, 0.013]  0.240 -0.015 [-0.032, 0.003]
               finished/8   0.373 +0.000 [-0.013, 0.015]  0.282 -0.006 [-0.017, 0.005]  0.252 -0.007 [-0.020, 0.006]

A quarter gave cohorts of 1.7 trials (no pruner) and 5.3 (halving) on average.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from searchlab.space import Value

Shape: TypeAlias = tuple[tuple[str, Value], ...]
"""What `Params.shape_key` gives."""

AHEAD = 1024
"""So many independent draws are sorted by shape at once; drawing and storing them takes 0.7 s at the start."""


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

"""Every combination of a few values of each parameter, in an order that scatters early trials over the whole space.

Why not: at equal cost random draws find better configurations whenever only some of the parameters matter, since a
grid repeats the same few values of those that do (Bergstra & Bengio 2012, JMLR 13:281).  It is here for spaces that are
small enough to be tried whole.  Optuna's own grid knows no conditions.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from searchlab import options, seeds
from searchlab.lazy import lazy
from searchlab.options import value
from searchlab.search import Cohorts
from searchlab.space import Space

if TYPE_CHECKING:
    import optuna

    from searchlab.search import counting, domains, draws
else:
    counting = lazy("searchlab.search.counting")
    domains = lazy("searchlab.search.domains")
    draws = lazy("searchlab.search.draws")

log = logging.getLogger(__name__)


class Grid:
    """Each combination once; afterwards the walk begins anew, so repeats are new seeds of the same configurations."""

    cohorts: Cohorts = "any order"

    class Options(options.Options):
        """Settings of the `grid` sampler."""

        points: int = value(4, ge=1)
        """Values tried of each range that has more; choices are tried whole."""

    def make(self, options: Options, space: Space, *, seed: int, number: int) -> optuna.samplers.BaseSampler:
        """The sampler of draw `number`: the combination that stands at this place of the walk."""
        size = counting.count(space, lambda parameter: domains.some(parameter.domain, options.points))
        if number == 0:
            log.warning(
                "the grid has %d configurations; unless you can afford all of them, `random` or `tpe` will find "
                "better ones in the same time, since a grid repeats the same few values of what matters",
                size,
            )
        place = counting.scattered(number, size, seeds.derive(seed, "sampler") % size)
        plan = counting.configuration(space, lambda parameter: domains.some(parameter.domain, options.points), place)
        return draws.Planned(space, plan.values, seed=number)


SAMPLER = Grid()

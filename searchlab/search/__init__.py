"""Ask and tell: samplers and pruners, and the study that the storage holds.  This wing knows Optuna and no Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from searchlab.catalog import Catalog
from searchlab.options import Options
from searchlab.space import Space

if TYPE_CHECKING:
    import optuna


Cohorts: TypeAlias = Literal["any order", "same shape", "none"]
"""How a sampler serves cohorts: its draws may be trained in any order, each being a function of (seed, number) alone;
it can draw with the shape given; or it can do neither, and every cohort holds one trial."""


class Sampler(Protocol):
    """A way to choose the next configuration.  A file in `search/samplers/` binds one to `SAMPLER`."""

    Options: type[Options]
    cohorts: Cohorts

    def make(self, options: Any, space: Space, *, seed: int, number: int) -> optuna.samplers.BaseSampler:
        """The Optuna sampler for trial `number`.

        `seed` is the study's; the draw must depend on (seed, number, trials known) alone, so that a resumed study
        continues the sequence and never replays it.

        Raises:
            MissingExtra: Its library is not installed.
            SpecError: It cannot search such a space.
        """


class Pruner(Protocol):
    """A way to stop trials early.  A file in `search/pruners/` binds one to `PRUNER`."""

    Options: type[Options]

    def make(self, options: Any, *, epochs: int) -> optuna.pruners.BasePruner:
        """The Optuna pruner for trials of at most `epochs` epochs, reported after every epoch from 1 on."""


SAMPLERS: Catalog[Sampler] = Catalog("searchlab.search.samplers", binds="SAMPLER", kind="sampler")
PRUNERS: Catalog[Pruner] = Catalog("searchlab.search.pruners", binds="PRUNER", kind="pruner")

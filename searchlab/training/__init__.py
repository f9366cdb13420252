"""Engines: what trains one cohort of trials.  This wing knows Keras and nothing of Optuna or MLflow."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, TypeAlias

from searchlab.catalog import Catalog
from searchlab.data import SearchSplits
from searchlab.options import Options, shape, value
from searchlab.records import Cohort, Epoch, TrainingPlan, TrialResult
from searchlab.tasks import Arrays, Encoding

Progress: TypeAlias = Generator[tuple[Epoch, ...] | TrialResult, frozenset[int], None]
"""An engine's progress: it yields the epochs that ended together, one of each trial at most, and is sent the numbers
of those trials that shall stop now (pruned)."""


class TrainingOptions(Options):
    """The group `training:` of a search space: how each trial feeds its optimizer."""

    batch_size: int = shape(32, ge=1, le=65536)
    """Examples in each optimizer step."""
    clip_norm: float | None = value(None, gt=0.0)
    """Longest allowed gradient, all weights together (Keras's `global_clipnorm`); null leaves it alone."""


class Engine(Protocol):
    """A way to train.  A file in `training/engines/` binds one to `ENGINE`."""

    def train(self, cohort: Cohort, plan: TrainingPlan, encoding: Encoding, splits: SearchSplits[Arrays]) -> Progress:
        """Train every trial of the cohort; yield all finished epochs, and each trial's result exactly once.

        An error inside a trial (NaN, impossible shape, out of memory) ends that trial with `state="failed"` and a
        reason; the others go on.  A trial that is told to stop yields a result with `state="pruned"` at once.
        """


ENGINES: Catalog[Engine] = Catalog("searchlab.training.engines", binds="ENGINE", kind="engine")

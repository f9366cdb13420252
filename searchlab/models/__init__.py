"""Architectures: families of Keras models with options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from searchlab.catalog import Catalog
from searchlab.options import Options
from searchlab.tasks import Problem

if TYPE_CHECKING:
    import keras


class Family(Protocol):
    """An architecture.  A file in `models/families/` binds one to `FAMILY`."""

    Options: type[Options]
    """Its hyperparameters: the group `model.NAME:` of a search space."""
    accepts: tuple[str, ...]
    """Kinds of `Problem` it can take."""

    def infeasible(self, problem: Problem, options: Any) -> str | None:
        """Why no model can be built from these options for this problem; None when one can.  Loads no Keras."""

    def build(self, problem: Problem, options: Any, seed: int) -> keras.Model:
        """A fresh functional model, (batch, *problem.input_shape) to (batch, problem.units), outputs before softmax.

        `seed` decides the initial weights and the dropout masks: every random layer gets a seed of its own.
        """


FAMILIES: Catalog[Family] = Catalog("searchlab.models.families", binds="FAMILY", kind="model family")

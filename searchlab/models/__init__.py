"""Architectures: families of Keras models with options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

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


@dataclass(frozen=True)
class Head:
    """What is trained on the features of a body: a model of another family."""

    name: str
    """The family's."""
    family: Family
    options: Any


@dataclass(frozen=True)
class Tuning:
    """How the body is trained too, after the head."""

    share: float
    """Of the epochs, the last ones."""
    rate: float
    """What the learning rate is multiplied by in them."""


@runtime_checkable
class Staged(Family, Protocol):
    """A family whose models are a head on a pretrained body, which is frozen for some or all epochs.

    The body of a built model is its layer "body".  Its options have a field `backbone` (`models/naming.py`).
    """

    def body(self, problem: Problem, options: Any, seed: int) -> keras.Model:
        """(batch, *problem.input_shape) to features (batch, width); nothing in it is trainable or random."""

    def body_name(self, options: Any) -> str | None:
        """Equal for bodies that give equal features, files apart; None where weights are drawn anew for each trial."""

    def body_file(self, options: Any) -> str | None:
        """The file with the weights of the body; None where it has none."""

    def head(self, options: Any) -> Head:
        """What is trained on the features, as a vector."""

    def tuning(self, options: Any) -> Tuning | None:
        """How the body is trained too; None where it stays frozen."""

    def thaw(self, model: keras.Model, options: Any) -> list[float]:
        """Make trainable what fine-tuning trains of a built `model`.

        Gives a factor for the rate of each of its `trainable_variables`, in their order.
        """


FAMILIES: Catalog[Family] = Catalog("searchlab.models.families", binds="FAMILY", kind="model family")

"""Lion: the sign of a momentum, found by program search (Chen et al. 2023, arXiv:2302.06675)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchlab import options
from searchlab.lazy import lazy
from searchlab.optim import Optimizer
from searchlab.options import value

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")


class LionOptions(options.Options):
    """Settings of the `lion` optimizer."""

    learning_rate: float = value(1e-4, gt=0.0)
    """Step size at which the schedule's factor is 1."""
    beta_1: float = value(0.9, gt=0.0, lt=1.0)
    """Share of the running mean in the direction of a step."""
    beta_2: float = value(0.99, gt=0.0, lt=1.0)
    """Share of the running mean of gradients that each step keeps."""
    weight_decay: float = value(0.0, ge=0.0)
    """Share of each weight, times the learning rate, that every step takes away."""


class Lion:
    """Builds `keras.optimizers.Lion`."""

    Options: type[options.Options] = LionOptions

    def build(
        self,
        options: LionOptions,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        **clipping: float,
    ) -> keras.optimizers.Optimizer:
        """A fresh Keras optimizer."""
        return keras.optimizers.Lion(
            learning_rate,
            beta_1=options.beta_1,
            beta_2=options.beta_2,
            weight_decay=options.weight_decay,
            **clipping,
        )


OPTIMIZER: Optimizer = Lion()

"""RMSProp: gradients over the root of their running mean square (Hinton 2012)."""

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


class RMSpropOptions(options.Options):
    """Settings of the `rmsprop` optimizer."""

    learning_rate: float = value(1e-3, gt=0.0)
    """Step size at which the schedule's factor is 1."""
    rho: float = value(0.9, ge=0.0, lt=1.0)
    """Share of the running mean of squared gradients that each step keeps."""
    momentum: float = value(0.0, ge=0.0, lt=1.0)
    """Share of the last step that is added to this one."""
    epsilon: float = value(1e-7, gt=0.0)
    """Added to the divisor, so that it is never zero."""


class RMSprop:
    """Builds `keras.optimizers.RMSprop`."""

    Options: type[options.Options] = RMSpropOptions

    def build(
        self,
        options: RMSpropOptions,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        **clipping: float,
    ) -> keras.optimizers.Optimizer:
        """A fresh Keras optimizer."""
        return keras.optimizers.RMSprop(
            learning_rate,
            rho=options.rho,
            momentum=options.momentum,
            epsilon=options.epsilon,
            **clipping,
        )


OPTIMIZER: Optimizer = RMSprop()

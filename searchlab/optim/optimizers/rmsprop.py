"""RMSProp: gradients over the root of their running mean square (Hinton 2012)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from searchlab import options
from searchlab.lazy import lazy
from searchlab.optim import Memory, Optimizer, Settings
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

    def memory(self, options: RMSpropOptions) -> tuple[float, float, float]:
        """A running mean of squares and a momentum, zero at first."""
        return (0.0, 0.0, 0.0)

    def update(
        self, weights: Any, gradient: Any, memory: Memory, *, step: Any, rate: Any, settings: Settings
    ) -> tuple[Any, Memory]:
        """One step of Keras's own rule, as a pure function."""
        squares, momentum, scalar = memory
        (rho, rest), (epsilon, _), (share, _) = settings["rho"], settings["epsilon"], settings["momentum"]
        squares = rho * squares + rest * keras.ops.square(gradient)
        momentum = share * momentum + rate * gradient / keras.ops.sqrt(squares + epsilon)
        return weights - momentum, (squares, momentum, scalar)


OPTIMIZER: Optimizer = RMSprop()

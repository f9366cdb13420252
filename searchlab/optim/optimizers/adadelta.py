"""Adadelta: steps in the units of the weights, from running means (Zeiler 2012, arXiv:1212.5701)."""

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


class AdadeltaOptions(options.Options):
    """Settings of the `adadelta` optimizer."""

    learning_rate: float = value(1.0, gt=0.0)
    """Step size at which the schedule's factor is 1."""
    rho: float = value(0.95, ge=0.0, lt=1.0)
    """Share of the running means that each step keeps."""
    epsilon: float = value(1e-7, gt=0.0)
    """Added to the divisor, so that it is never zero."""


class Adadelta:
    """Builds `keras.optimizers.Adadelta`."""

    Options: type[options.Options] = AdadeltaOptions

    def build(
        self,
        options: AdadeltaOptions,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        **clipping: float,
    ) -> keras.optimizers.Optimizer:
        """A fresh Keras optimizer."""
        return keras.optimizers.Adadelta(
            learning_rate,
            rho=options.rho,
            epsilon=options.epsilon,
            **clipping,
        )

    def memory(self, options: AdadeltaOptions) -> tuple[float, float, float]:
        """Running means of squared gradients and of squared steps, zero at first."""
        return (0.0, 0.0, 0.0)

    def update(
        self, weights: Any, gradient: Any, memory: Memory, *, step: Any, rate: Any, settings: Settings
    ) -> tuple[Any, Memory]:
        """One step of Keras's own rule, as a pure function."""
        gradients, changes, scalar = memory
        (rho, rest), (epsilon, _) = settings["rho"], settings["epsilon"]
        gradients = rho * gradients + rest * keras.ops.square(gradient)
        change = -keras.ops.sqrt(changes + epsilon) * gradient / keras.ops.sqrt(gradients + epsilon)
        changes = rho * changes + rest * keras.ops.square(change)
        return weights + rate * change, (gradients, changes, scalar)


OPTIMIZER: Optimizer = Adadelta()

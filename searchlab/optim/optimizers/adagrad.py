"""Adagrad: a rate for each weight that falls with its squared gradients so far (Duchi et al. 2011)."""

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


class AdagradOptions(options.Options):
    """Settings of the `adagrad` optimizer."""

    learning_rate: float = value(0.01, gt=0.0)
    """Step size at which the schedule's factor is 1."""
    initial_accumulator: float = value(0.1, ge=0.0)
    """Squared gradient that every weight starts with."""
    epsilon: float = value(1e-7, gt=0.0)
    """Added to the divisor, so that it is never zero."""


class Adagrad:
    """Builds `keras.optimizers.Adagrad`."""

    Options: type[options.Options] = AdagradOptions

    def build(
        self,
        options: AdagradOptions,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        **clipping: float,
    ) -> keras.optimizers.Optimizer:
        """A fresh Keras optimizer."""
        return keras.optimizers.Adagrad(
            learning_rate,
            initial_accumulator_value=options.initial_accumulator,
            epsilon=options.epsilon,
            **clipping,
        )

    def memory(self, options: AdagradOptions) -> tuple[float, float, float]:
        """The sum of squared gradients begins with `initial_accumulator`."""
        return (options.initial_accumulator, 0.0, 0.0)

    def update(
        self, weights: Any, gradient: Any, memory: Memory, *, step: Any, rate: Any, settings: Settings
    ) -> tuple[Any, Memory]:
        """One step of Keras's own rule, as a pure function."""
        total, unused, scalar = memory
        epsilon, _ = settings["epsilon"]
        total = total + keras.ops.square(gradient)
        return weights - rate * gradient / keras.ops.sqrt(total + epsilon), (total, unused, scalar)


OPTIMIZER: Optimizer = Adagrad()

"""Nadam: Adam with Nesterov's look-ahead (Dozat 2016)."""

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


class NadamOptions(options.Options):
    """Settings of the `nadam` optimizer."""

    learning_rate: float = value(1e-3, gt=0.0)
    """Step size at which the schedule's factor is 1."""
    beta_1: float = value(0.9, ge=0.0, lt=1.0)
    """Share of the running mean of gradients that each step keeps."""
    beta_2: float = value(0.999, ge=0.0, lt=1.0)
    """Share of the running mean of squared gradients that each step keeps."""
    epsilon: float = value(1e-7, gt=0.0)
    """Added to the divisor, so that it is never zero."""


class Nadam:
    """Builds `keras.optimizers.Nadam`."""

    Options: type[options.Options] = NadamOptions

    def build(
        self,
        options: NadamOptions,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        **clipping: float,
    ) -> keras.optimizers.Optimizer:
        """A fresh Keras optimizer."""
        return keras.optimizers.Nadam(
            learning_rate,
            beta_1=options.beta_1,
            beta_2=options.beta_2,
            epsilon=options.epsilon,
            **clipping,
        )

    def memory(self, options: NadamOptions) -> tuple[float, float, float]:
        """Running means of gradients and of their squares, zero at first, and the product of the momenta, one."""
        return (0.0, 0.0, 1.0)

    def update(
        self, weights: Any, gradient: Any, memory: Memory, *, step: Any, rate: Any, settings: Settings
    ) -> tuple[Any, Memory]:
        """One step of Keras's own rule, as a pure function."""
        mean, square, product = memory
        (beta_1, _), (beta_2, _), (epsilon, _) = (settings[n] for n in ("beta_1", "beta_2", "epsilon"))
        share = beta_1 * (1.0 - 0.5 * keras.ops.power(0.96, step))
        next_share = beta_1 * (1.0 - 0.5 * keras.ops.power(0.96, step + 1.0))
        product = product * share
        mean = mean + (gradient - mean) * (1.0 - beta_1)
        square = square + (keras.ops.square(gradient) - square) * (1.0 - beta_2)
        ahead = next_share * mean / (1.0 - product * next_share) + (1.0 - share) * gradient / (1.0 - product)
        spread = keras.ops.sqrt(square / (1.0 - keras.ops.power(beta_2, step)))
        return weights - ahead * rate / (spread + epsilon), (mean, square, product)


OPTIMIZER: Optimizer = Nadam()

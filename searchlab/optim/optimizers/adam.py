"""Adam: momentum over the root of the mean square, both freed of bias (Kingma & Ba 2015, arXiv:1412.6980)."""

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


class AdamOptions(options.Options):
    """Settings of the `adam` optimizer."""

    learning_rate: float = value(1e-3, gt=0.0)
    """Step size at which the schedule's factor is 1."""
    beta_1: float = value(0.9, ge=0.0, lt=1.0)
    """Share of the running mean of gradients that each step keeps."""
    beta_2: float = value(0.999, ge=0.0, lt=1.0)
    """Share of the running mean of squared gradients that each step keeps."""
    epsilon: float = value(1e-7, gt=0.0)
    """Added to the divisor, so that it is never zero."""


class Adam:
    """Builds `keras.optimizers.Adam`."""

    Options: type[options.Options] = AdamOptions

    def build(
        self,
        options: AdamOptions,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        **clipping: float,
    ) -> keras.optimizers.Optimizer:
        """A fresh Keras optimizer."""
        return keras.optimizers.Adam(
            learning_rate,
            beta_1=options.beta_1,
            beta_2=options.beta_2,
            epsilon=options.epsilon,
            **clipping,
        )

    def memory(self, options: AdamOptions) -> tuple[float, float, float]:
        """Running means of gradients and of their squares, zero at first."""
        return (0.0, 0.0, 0.0)

    def update(
        self, weights: Any, gradient: Any, memory: Memory, *, step: Any, rate: Any, settings: Settings
    ) -> tuple[Any, Memory]:
        """One step of Keras's own rule, as a pure function."""
        mean, square, scalar = memory
        (beta_1, rest_1), (beta_2, rest_2), (epsilon, _) = (settings[n] for n in ("beta_1", "beta_2", "epsilon"))
        alpha = rate * keras.ops.sqrt(1.0 - keras.ops.power(beta_2, step)) / (1.0 - keras.ops.power(beta_1, step))
        mean = mean + (gradient - mean) * rest_1
        square = square + (keras.ops.square(gradient) - square) * rest_2
        return weights - mean * alpha / (keras.ops.sqrt(square) + epsilon), (mean, square, scalar)


OPTIMIZER: Optimizer = Adam()

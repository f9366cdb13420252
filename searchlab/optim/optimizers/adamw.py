"""AdamW: Adam with decay of the weights apart from the gradient (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from searchlab import options
from searchlab.lazy import lazy
from searchlab.optim import Memory, Optimizer, Settings
from searchlab.optim.optimizers.adam import OPTIMIZER as ADAM
from searchlab.options import value

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")


class AdamWOptions(options.Options):
    """Settings of the `adamw` optimizer."""

    learning_rate: float = value(1e-3, gt=0.0)
    """Step size at which the schedule's factor is 1."""
    weight_decay: float = value(4e-3, ge=0.0)
    """Share of each weight, times the learning rate, that every step takes away."""
    beta_1: float = value(0.9, ge=0.0, lt=1.0)
    """Share of the running mean of gradients that each step keeps."""
    beta_2: float = value(0.999, ge=0.0, lt=1.0)
    """Share of the running mean of squared gradients that each step keeps."""
    epsilon: float = value(1e-7, gt=0.0)
    """Added to the divisor, so that it is never zero."""


class AdamW:
    """Builds `keras.optimizers.AdamW`."""

    Options: type[options.Options] = AdamWOptions

    def build(
        self,
        options: AdamWOptions,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        **clipping: float,
    ) -> keras.optimizers.Optimizer:
        """A fresh Keras optimizer."""
        return keras.optimizers.AdamW(
            learning_rate,
            weight_decay=options.weight_decay,
            beta_1=options.beta_1,
            beta_2=options.beta_2,
            epsilon=options.epsilon,
            **clipping,
        )

    def memory(self, options: AdamWOptions) -> tuple[float, float, float]:
        """Running means of gradients and of their squares, zero at first."""
        return (0.0, 0.0, 0.0)

    def update(
        self, weights: Any, gradient: Any, memory: Memory, *, step: Any, rate: Any, settings: Settings
    ) -> tuple[Any, Memory]:
        """One step of Keras's own rule, as a pure function."""
        decay, _ = settings["weight_decay"]
        return ADAM.update(weights - weights * decay * rate, gradient, memory, step=step, rate=rate, settings=settings)


OPTIMIZER: Optimizer = AdamW()

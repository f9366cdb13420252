"""Lion: the sign of a momentum, found by program search (Chen et al. 2023, arXiv:2302.06675)."""

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

    def memory(self, options: LionOptions) -> tuple[float, float, float]:
        """One momentum, zero at first."""
        return (0.0, 0.0, 0.0)

    def update(
        self, weights: Any, gradient: Any, memory: Memory, *, step: Any, rate: Any, settings: Settings
    ) -> tuple[Any, Memory]:
        """One step of Keras's own rule, as a pure function."""
        mean, unused, scalar = memory
        (beta_1, _), (beta_2, _), (decay, _) = (settings[n] for n in ("beta_1", "beta_2", "weight_decay"))
        weights = weights - weights * decay * rate
        weights = weights - rate * keras.ops.sign(mean * beta_1 + gradient * (1.0 - beta_1))
        return weights, (mean * beta_2 + gradient * (1.0 - beta_2), unused, scalar)


OPTIMIZER: Optimizer = Lion()

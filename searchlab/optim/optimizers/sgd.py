"""Gradient descent: plain, with momentum (Polyak 1964), with Nesterov's look-ahead (Sutskever et al. 2013)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from searchlab import options
from searchlab.lazy import lazy
from searchlab.optim import Memory, Optimizer, Settings
from searchlab.options import shape, value

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")


class SGDOptions(options.Options):
    """Settings of the `sgd` optimizer."""

    learning_rate: float = value(0.01, gt=0.0)
    """Step size at which the schedule's factor is 1."""
    momentum: float = value(0.0, ge=0.0, lt=1.0)
    """Share of the last step that is added to this one; 0 is plain descent."""
    nesterov: bool = shape(False)
    """Whether the gradient counts where the momentum leads to; changes nothing while `momentum` is 0."""


class SGD:
    """Builds `keras.optimizers.SGD`."""

    Options: type[options.Options] = SGDOptions

    def build(
        self,
        options: SGDOptions,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        **clipping: float,
    ) -> keras.optimizers.Optimizer:
        """A fresh Keras optimizer."""
        return keras.optimizers.SGD(
            learning_rate,
            momentum=options.momentum,
            nesterov=options.nesterov,
            **clipping,
        )

    def memory(self, options: SGDOptions) -> tuple[float, float, float]:
        """One momentum, zero at first."""
        return (0.0, 0.0, 0.0)

    def update(
        self, weights: Any, gradient: Any, memory: Memory, *, step: Any, rate: Any, settings: Settings
    ) -> tuple[Any, Memory]:
        """One step of Keras's own rule, as a pure function."""
        velocity, unused, scalar = memory
        momentum, _ = settings["momentum"]
        nesterov, _ = settings["nesterov"]
        velocity = velocity * momentum - gradient * rate
        ahead = velocity * momentum - gradient * rate
        return weights + keras.ops.where(nesterov > 0.0, ahead, velocity), (velocity, unused, scalar)


OPTIMIZER: Optimizer = SGD()

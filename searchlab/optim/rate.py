"""The learning rate of every step of an epoch, as a table in the graph that is filled before each epoch.

    rates = EpochRates(base_rate=3e-3, steps=38)
    optimizer = OPTIMIZERS.get("adam").build(options, rates)
    rates.follow(optimizer)
    rates.assign(schedule.factors(…))       # before every epoch

Why a table: one traced train step serves all epochs and schedules (plateau among them, which no function of the
step can be), and the rates are the same numbers in every engine.  Turned down: setting `optimizer.learning_rate`
in a callback on every batch, which costs a round trip to the device a step.  Importing this module loads Keras.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from searchlab.data import Array


@keras.saving.register_keras_serializable("searchlab")
class EpochRates(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """`base_rate` times the factor of the current step; all factors are 1 until `assign` is called."""

    def __init__(self, base_rate: float, steps: int) -> None:
        self.base_rate = float(base_rate)
        self.steps = int(steps)
        self.table = keras.Variable(np.ones(self.steps, np.float32), trainable=False, name="learning_rate_factors")

    def __call__(self, step: Any) -> Any:
        """The rate of optimizer step `step`, which counts from 0 over all epochs."""
        row = keras.ops.mod(keras.ops.cast(step, "int32"), self.steps)
        return self.base_rate * keras.ops.take(self.table, row)

    def assign(self, factors: Array) -> None:
        """Set the (steps,) factors of the epoch to come; nothing is traced again."""
        self.table.assign(np.asarray(factors, np.float32))

    def follow(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Make the table one of the optimizer's variables; call it once, before training.

        The JAX backend sees only variables of the model and the optimizer in its compiled step: any other is a
        constant there, and `assign` would change nothing.
        """
        optimizer._track_variable(self.table)

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to save an optimizer with this schedule."""
        return {"base_rate": self.base_rate, "steps": self.steps}

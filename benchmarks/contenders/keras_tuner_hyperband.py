"""KerasTuner's Hyperband: its trials have fewer epochs by its nature, and one that goes on counts as a new trial."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner

from benchmarks.contenders.keras_tuner_random import Teller
from benchmarks.rival import Data, job, model_of
from benchmarks.spaces import for_keras_tuner


def main() -> None:
    """Search, round after round of brackets, until the trials are spent."""
    asked = job()
    data = Data.read(asked)

    def build(hp: Any) -> keras.Model:
        return model_of(asked, data, for_keras_tuner(asked.space, hp))

    tuner = keras_tuner.Hyperband(
        build,
        objective="val_accuracy",
        max_epochs=asked.epochs,
        hyperband_iterations=1000,
        seed=asked.seed,
        directory=asked.folder,
        project_name="bench",
    )
    tuner.oracle.max_trials = asked.trials
    tuner.search(
        data.x,
        data.y,
        validation_data=data.validation,
        batch_size=asked.task.batch_size,
        callbacks=[Teller()],
        verbose=0,
    )


if __name__ == "__main__":
    main()

"""KerasTuner's RandomSearch, as its guide has it."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner

from benchmarks.rival import Data, job, model_of, say
from benchmarks.spaces import for_keras_tuner


class Teller(keras.callbacks.Callback):  # type: ignore[misc]
    """Says how each training ended."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.seen: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seen.append((logs or {})["val_accuracy"])

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        say(max(self.seen), len(self.seen))


def main() -> None:
    """Search."""
    asked = job()
    data = Data.read(asked)

    def build(hp: Any) -> keras.Model:
        return model_of(asked, data, for_keras_tuner(asked.space, hp))

    tuner = keras_tuner.RandomSearch(
        build,
        objective="val_accuracy",
        max_trials=asked.trials,
        seed=asked.seed,
        directory=asked.folder,
        project_name="bench",
    )
    tuner.search(
        data.x,
        data.y,
        validation_data=data.validation,
        epochs=asked.epochs,
        batch_size=asked.task.batch_size,
        callbacks=[Teller()],
        verbose=0,
    )


if __name__ == "__main__":
    main()

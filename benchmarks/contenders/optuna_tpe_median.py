"""Optuna's TPE with its median pruner around `Model.fit`, each epoch reported: for the time to reach an accuracy."""

from __future__ import annotations

from typing import Any

import keras
import optuna

from benchmarks.rival import Data, job, model_of, say
from benchmarks.spaces import for_optuna


class Reporter(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports each epoch to the trial and stops what the pruner gives up."""

    def __init__(self, trial: optuna.Trial) -> None:
        super().__init__()
        self.trial = trial
        self.is_pruned = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.trial.report((logs or {})["val_accuracy"], epoch)
        if self.trial.should_prune():
            self.is_pruned = True
            self.model.stop_training = True


def main() -> None:
    """Search."""
    asked = job()
    data = Data.read(asked)

    def objective(trial: optuna.Trial) -> float:
        keras.utils.clear_session()
        model = model_of(asked, data, for_optuna(asked.space, trial))
        reporter = Reporter(trial)
        history = model.fit(
            data.x,
            data.y,
            validation_data=data.validation,
            epochs=asked.epochs,
            batch_size=asked.task.batch_size,
            callbacks=[reporter],
            verbose=0,
        )
        seen = history.history["val_accuracy"]
        say(max(seen), len(seen))
        if reporter.is_pruned:
            raise optuna.TrialPruned
        return max(seen)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=asked.seed),
        pruner=optuna.pruners.MedianPruner(),
    )
    study.optimize(objective, n_trials=asked.trials)


if __name__ == "__main__":
    main()

"""A plain Optuna study around `Model.fit`: random search, in memory, nothing logged."""

from __future__ import annotations

import keras
import optuna

from benchmarks.rival import Data, job, model_of, say
from benchmarks.spaces import for_optuna


def main() -> None:
    """Search."""
    asked = job()
    data = Data.read(asked)

    def objective(trial: optuna.Trial) -> float:
        keras.utils.clear_session()
        model = model_of(asked, data, for_optuna(asked.space, trial))
        history = model.fit(
            data.x,
            data.y,
            validation_data=data.validation,
            epochs=asked.epochs,
            batch_size=asked.task.batch_size,
            verbose=0,
        )
        best = max(history.history["val_accuracy"])
        say(best, asked.epochs)
        return best

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=asked.seed))
    study.optimize(objective, n_trials=asked.trials)


if __name__ == "__main__":
    main()

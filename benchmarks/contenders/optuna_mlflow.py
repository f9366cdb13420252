"""The plain Optuna loop with MLflow's autolog, as its guide to Keras has it: a nested run for each trial, in SQLite."""

from __future__ import annotations

import keras
import mlflow
import optuna

from benchmarks.rival import Data, job, model_of, say
from benchmarks.spaces import for_optuna


def main() -> None:
    """Search."""
    asked = job()
    data = Data.read(asked)
    asked.folder.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{asked.folder / 'mlflow.db'}")
    mlflow.create_experiment("bench", artifact_location=(asked.folder / "artifacts").as_uri())
    mlflow.set_experiment("bench")
    mlflow.tensorflow.autolog()

    def objective(trial: optuna.Trial) -> float:
        keras.utils.clear_session()
        values = for_optuna(asked.space, trial)
        with mlflow.start_run(nested=True):
            mlflow.log_params(values)
            model = model_of(asked, data, values)
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
    with mlflow.start_run():
        study.optimize(objective, n_trials=asked.trials)


if __name__ == "__main__":
    main()

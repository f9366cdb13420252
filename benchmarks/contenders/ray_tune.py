"""Ray Tune with a Keras trainable: one core a trial, which is its default, so as many at a time as there are cores.

Needs `pip install 'ray[tune]'`, which no extra of searchlab brings.
"""

from __future__ import annotations

from typing import Any

from ray import tune

from benchmarks.rival import Data, Job, job, say
from benchmarks.spaces import for_ray


class Teller(tune.Callback):  # type: ignore[misc]
    """Says how each trial ended, from the driver."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        say(trial.last_result["val_accuracy"], trial.last_result["epochs"])


def train(values: dict[str, Any], asked: Job, data: Data) -> None:
    """One trial, in a worker process of Ray's."""
    from benchmarks.rival import model_of

    model = model_of(asked, data, values)
    history = model.fit(
        data.x,
        data.y,
        validation_data=data.validation,
        epochs=asked.epochs,
        batch_size=asked.task.batch_size,
        verbose=0,
    )
    tune.report({"val_accuracy": max(history.history["val_accuracy"]), "epochs": asked.epochs})


def main() -> None:
    """Search."""
    asked = job()
    data = Data.read(asked)
    tuner = tune.Tuner(
        tune.with_parameters(train, asked=asked, data=data),
        param_space=for_ray(asked.space),
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=asked.trials,
            search_alg=tune.search.BasicVariantGenerator(random_state=asked.seed),
        ),
        run_config=tune.RunConfig(name="bench", storage_path=str(asked.folder), verbose=0, callbacks=[Teller()]),
    )
    tuner.fit()


if __name__ == "__main__":
    main()

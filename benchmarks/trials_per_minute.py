"""Trials a minute: searchlab beside KerasTuner's RandomSearch and a plain Optuna + Keras script.

    python benchmarks/trials_per_minute.py [--trials 12] [--epochs 8] [--rounds 3]

Same data (scikit-learn's digits, one split), same network code, same space, same epochs, same machine, no pruning.
Every contender is a process of its own, start-up counted; the contenders take turns (A B C A B C …) so that a drift
of the machine's speed touches all alike.  Printed: each one's median trials a minute and its range, and the ratio of
searchlab to it, round by round.  searchlab logs to MLflow; the others log nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

SPACE = """
model:
  cnn:
    depth: {low: 1, high: 3}
    width: [16, 32, 64]
    batch_norm: [true, false]
    dropout: {low: 0.0, high: 0.5}
optimizer:
  adam: {learning_rate: {low: 1e-4, high: 1e-2, log: true}}
training: {batch_size: 64}
"""

STUDY = """
study: bench
data: {{source: digits, split: {{validation: 0.2, test: 0.2, by: stratified, seed: 0}}}}
task: image_classification
space: {space}
search: {{sampler: random, pruner: none, trials: {trials}}}
training: {{epochs: {epochs}}}
execution: {{workers: {workers}}}
seed: 1
"""

PRELUDE = """
import sys, warnings
warnings.filterwarnings("ignore")
import keras, numpy as np
from pathlib import Path
from searchlab.data import SOURCES
from searchlab.data.prepare import load_search
from searchlab.models import FAMILIES
from searchlab.tasks import TASKS
trials, epochs, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
collection, splits = load_search(Path(folder))
encoding = TASKS.get("image_classification").fit(collection, splits.train)
train, validation = encoding.encode(splits.train), encoding.encode(splits.validation)
cnn = FAMILIES.get("cnn")

def network(depth, width, batch_norm, dropout, learning_rate):
    options = cnn.Options(depth=depth, width=width, batch_norm=batch_norm, dropout=dropout)
    model = cnn.build(encoding.problem, options, 0)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model
"""

KERAS_TUNER = (
    PRELUDE
    + """
import keras_tuner, tempfile

def build(hp):
    return network(
        hp.Int("depth", 1, 3), hp.Choice("width", [16, 32, 64]), hp.Boolean("batch_norm"),
        hp.Float("dropout", 0.0, 0.5), hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
    )

with tempfile.TemporaryDirectory() as place:
    tuner = keras_tuner.RandomSearch(
        build, objective="val_accuracy", max_trials=trials, directory=place, project_name="bench", seed=1
    )
    tuner.search(
        train.x, train.y, validation_data=(validation.x, validation.y), epochs=epochs, batch_size=64, verbose=0
    )
    print(max(trial.score for trial in tuner.oracle.trials.values()))
"""
)

OPTUNA = (
    PRELUDE
    + """
import optuna
optuna.logging.set_verbosity(optuna.logging.WARNING)

def objective(trial):
    keras.utils.clear_session()
    model = network(
        trial.suggest_int("depth", 1, 3), trial.suggest_categorical("width", [16, 32, 64]),
        trial.suggest_categorical("batch_norm", [True, False]), trial.suggest_float("dropout", 0.0, 0.5),
        trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
    )
    history = model.fit(
        train.x, train.y, validation_data=(validation.x, validation.y), epochs=epochs, batch_size=64, verbose=0
    )
    return max(history.history["val_accuracy"])

study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
study.optimize(objective, n_trials=trials)
print(study.best_value)
"""
)


def main() -> None:
    """Take turns, then print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        contenders = _contenders(Path(folder), arguments.trials, arguments.epochs)
        minutes: dict[str, list[float]] = {name: [] for name in contenders}
        for turn in range(arguments.rounds):
            for name, command in contenders.items():
                seconds = _time(command, Path(folder) / f"home-{turn}-{len(minutes[name])}-{abs(hash(name))}")
                minutes[name].append(arguments.trials / seconds * 60)
                print(f"round {turn + 1}: {name:34} {minutes[name][-1]:7.1f} trials/min", flush=True)
    _print_table(minutes, arguments)


def _contenders(folder: Path, trials: int, epochs: int) -> dict[str, list[str]]:
    from searchlab.data import SOURCES
    from searchlab.data.prepare import prepare

    source = SOURCES.get("digits")
    collection = source.load(source.Options(), folder)
    prepared = prepare(
        collection, rule="stratified", validation=0.2, test=0.2, seed=0, embargo=0, shuffle_labels=False, store=folder
    )
    space = folder / "space.yaml"
    space.write_text(SPACE)
    for workers in ("auto", 1):
        study = STUDY.format(space=space, trials=trials, epochs=epochs, workers=workers)
        (folder / f"study-{workers}.yaml").write_text(study)
    for name, script in (("keras_tuner", KERAS_TUNER), ("optuna", OPTUNA)):
        (folder / f"{name}_script.py").write_text(textwrap.dedent(script))
    tail = [str(trials), str(epochs), str(prepared.folder)]
    run = [sys.executable, "-m", "searchlab", "run", "--plain"]
    return {
        "searchlab (all cores)": [*run, str(folder / "study-auto.yaml")],
        "searchlab (1 worker)": [*run, str(folder / "study-1.yaml")],
        "KerasTuner RandomSearch": [sys.executable, str(folder / "keras_tuner_script.py"), *tail],
        "plain Optuna + Keras": [sys.executable, str(folder / "optuna_script.py"), *tail],
    }


def _time(command: list[str], home: Path) -> float:
    environment = {**os.environ, "SEARCHLAB_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "2"}
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return seconds


def _print_table(minutes: dict[str, list[float]], arguments: argparse.Namespace) -> None:
    ours = minutes["searchlab (all cores)"]
    print(
        f"\n{arguments.trials} trials of {arguments.epochs} epochs, {arguments.rounds} rounds, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(f"{'':34} {'trials/min':>10}  {'range':>15}  searchlab is … times as fast (range)")
    for name, rates in minutes.items():
        ratios = [mine / other for mine, other in zip(ours, rates, strict=True)]
        print(
            f"{name:34} {statistics.median(rates):10.1f}  {min(rates):6.1f} – {max(rates):6.1f}  "
            f"{statistics.median(ratios):6.2f}  ({min(ratios):.2f} – {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()

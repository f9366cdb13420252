from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.mlflow_server import Server
from searchlab.records import Epoch, Objective, StudyResult, Trial, TrialRecord, TrialResult
from searchlab.space import Params
from searchlab.tracking import DataFacts, StudyStart

BEGAN = 1_700_000_000.0


class Study:
    """Four trials that end in every way there is: complete, pruned, failed with a loss of NaN, complete."""

    def __init__(self) -> None:
        self.start = StudyStart(
            name="small",
            uid="4f1d2c3b-0000-4000-8000-000000000001",
            objective=Objective("val_accuracy", "maximize"),
            budget=4,
            seed=3,
            data=DataFacts(
                "digits", "9a1c33d2f00e4b71", "images of digits", {"train": 60, "validation": 20, "test": 20}
            ),
            description="A study for tests.",
            resolved="study: small\n",
            varied=("model.depth", "optimizer", "optimizer.learning_rate", "optimizer.momentum"),
            log_scaled=("optimizer.learning_rate",),
            facts={"sampler": "random", "pruner": "none"},
            tags={"git_commit": "abc1234", "space_digest": "77aa"},
        )
        states = ("complete", "pruned", "failed", "complete")
        self.trials = tuple(self._trial(number) for number in range(4))
        self.records = tuple(self._record(trial, state) for trial, state in zip(self.trials, states, strict=True))
        self.result = StudyResult("small", self.start.objective, self.records, 4, 3, 20, {"sampler": "random"})

    def epochs(self, number: int) -> list[Epoch]:
        count = {"complete": 3, "pruned": 1, "failed": 2}[self.records[number].state]
        return [Epoch(number, epoch, self._metrics(number, epoch), 0.5) for epoch in range(1, count + 1)]

    def tell(self, session, *, until: int = 4) -> None:
        session.study_started(self.start)
        for number in range(until):
            session.trial_started(self.trials[number], at=BEGAN + 10 * number)
            for epoch in self.epochs(number):
                session.epoch(epoch, at=BEGAN + 10 * number + epoch.epoch)
            session.trial_finished(self.records[number])

    def _metrics(self, number: int, epoch: int) -> dict[str, float]:
        loss = math.nan if (number, epoch) == (2, 2) else 1.0 / epoch
        return {
            "loss": loss,
            "val_loss": loss,
            "val_accuracy": 0.5 + 0.1 * number + 0.01 * epoch,
            "learning_rate": 0.01,
        }

    def _trial(self, number: int) -> Trial:
        optimizer = "sgd" if number % 2 else "adam"
        values = {"model": "mlp", "model.mlp.depth": number + 1, "model.mlp.batch_norm": True, "optimizer": optimizer}
        values[f"optimizer.{optimizer}.learning_rate"] = 0.0031622776601683794
        if optimizer == "sgd":
            values["optimizer.sgd.momentum"] = 0.9
        return Trial(number, Params(values), seed=100 + number)

    def _record(self, trial: Trial, state: str) -> TrialRecord:
        number = trial.number
        began = BEGAN + 10 * number
        if state == "failed":
            result = TrialResult(number, state, None, epochs=2, seconds=1.0, reason="diverged", detail="Traceback: nan")
            return TrialRecord(trial, state, None, result, {1: 0.71, 2: 0.72}, began, began + 5)
        count = 3 if state == "complete" else 1
        curve = {epoch: self._metrics(number, epoch)["val_accuracy"] for epoch in range(1, count + 1)}
        result = TrialResult(
            number,
            state,
            curve[count],
            best_epoch=count,
            epochs=count,
            seconds=1.5,
            metrics=self._metrics(number, count),
            reason="pruned after epoch 1" if state == "pruned" else None,
            parameter_count=1234,
            summary="Model: mlp",
        )
        return TrialRecord(trial, state, curve[count], result, curve, began, began + 5)


@pytest.fixture
def study() -> Study:
    return Study()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its schema, made once, since that takes seconds."""
    from searchlab.tracking import TRACKERS

    home = tmp_path_factory.mktemp("empty")
    TRACKERS.get("mlflow").runs(None, experiment="unused", home=home, study_uid="nobody")
    return home / "mlflow.db"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Server]:
    """A real server, one for a whole file."""
    folder = tmp_path_factory.mktemp("server")
    copied(empty_store, folder)
    running = Server(folder)
    running.start()
    running.wait()
    yield running
    running.kill()


@pytest.fixture
def home(tmp_path: Path, empty_store: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    copied(empty_store, folder)
    return folder


def copied(store: Path, folder: Path) -> None:
    """Put a copy of the database into `folder`, what lies in its write-ahead log too."""
    with closing(sqlite3.connect(store)) as made, closing(sqlite3.connect(folder / "mlflow.db")) as copy:
        made.backup(copy)

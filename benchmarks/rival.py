"""What the rivals' scripts share: their arguments, the arrays, a compiled model, and a line for each finished trial."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from benchmarks.networks import network
from benchmarks.spaces import Space, space_of
from benchmarks.tasks import TASKS, Task


@dataclass(frozen=True)
class Job:
    """What a rival is asked to do."""

    task: Task
    space: Space
    data: Path
    trials: int
    epochs: int
    seed: int
    folder: Path
    """Where it may write."""


@dataclass(frozen=True)
class Data:
    """Arrays as the network takes them, images standardized by the training part."""

    x: NDArray[np.generic]
    y: NDArray[np.generic]
    validation: tuple[NDArray[np.generic], NDArray[np.generic]]
    classes: int
    vocabulary: int

    @classmethod
    def read(cls, job: Job) -> Data:
        """From the file that all contenders share."""
        with np.load(job.data) as file:
            x, y, x_validation, y_validation = (file[n] for n in ("x_train", "y_train", "x_validation", "y_validation"))
        vocabulary = int(x.max()) + 2 if job.task.kind == "tokens" else 0
        if job.task.kind == "images":
            mean, deviation = x.mean(), x.std()
            x, x_validation = (((rows - mean) / deviation).astype(np.float32) for rows in (x, x_validation))
        return cls(x, y, (x_validation, y_validation), len(np.unique(y)), vocabulary)


def job() -> Job:
    """From the command line: TASK SPACE DATA TRIALS EPOCHS SEED FOLDER."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("space")
    parser.add_argument("data", type=Path)
    parser.add_argument("trials", type=int)
    parser.add_argument("epochs", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    task = TASKS[given.task]
    return Job(
        task, space_of(given.space, task), given.data, given.trials, given.epochs, given.seed, given.folder.resolve()
    )


def model_of(job: Job, data: Data, values: dict[str, Any]) -> keras.Model:
    """The compiled model of a trial's `values`."""
    return network(job.task, data.x.shape[1:], data.classes, data.vocabulary, values)


def say(value: float, epochs: int) -> None:
    """Tell the one who measures that a trial ended with `value` after `epochs`."""
    print(f"trial {value:.4f} {epochs}", flush=True)

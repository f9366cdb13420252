"""Small collections of every kind, made up, with targets that a task can learn.  Not a test file."""

import numpy as np

from searchlab.data import Collection, Examples
from searchlab.tasks import TASKS

N = 40


def is_classification(name):
    return "accuracy" in TASKS.get(name).metrics


def collection_of(name, kind, seed=0, *, n=N):
    """`n` examples of this kind, with targets that the task can learn."""
    stream = np.random.default_rng(seed)
    categories = None
    if kind == "images":
        x = stream.integers(0, 256, (n, 4, 3, 2)).astype(np.uint8)
    elif kind == "table":
        x = stream.normal([5.0, -3.0, 0.0], [2.0, 100.0, 1e-3], (n, 3))
        x[stream.random(x.shape) < 0.1] = np.nan
        categories = stream.choice(["red", "green", "blue"], (n, 1))
    elif kind == "series":
        x = stream.normal([20.0, -3.0], [5.0, 0.1], (n, 6, 2))
    else:
        x = stream.integers(0, 200, (n, 5))
        x[0] = 0
    if is_classification(name):
        y = np.array(["cat", "dog", "eel", "dog"])[np.arange(n) % 4]  # dogs are frequent
    elif kind == "series":
        y = stream.normal(20.0, 5.0, (n, 2))
    else:
        y = stream.normal(1000.0, 50.0, n)
    return Collection(Examples(x, y, categories=categories), kind, "made up")

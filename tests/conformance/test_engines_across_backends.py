"""A population on JAX gives the scores that `fit` gives on TensorFlow, as a distribution over seeds.

Each backend draws first weights and dropout of its own from a seed, so no trial equals its twin; on one backend the
engines are compared number by number (`test_engines_agree.py`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

SEEDS = 24
ALPHA = 0.01
"""Of two samples of one distribution, this share is told apart by mistake; the seeds are fixed, so a run repeats."""

SCORES = """
import json, sys
import tiny_problem as tiny
engine, rate = sys.argv[1], float(sys.argv[2])
values = {**tiny.MLP, "model.mlp.depth": 2, "optimizer.adam.learning_rate": rate}
trials = [tiny.trial_with(values, number=n, seed=1000 + n) for n in range(int(sys.argv[3]))]
told, results = tiny.train(engine, *trials, under=tiny.plan(epochs=6))
assert all(result.state == "complete" for result in results.values()), results
print(json.dumps({key: [told[n][-1].metrics[key] for n in range(len(trials))] for key in ("val_accuracy", "val_loss")}))
"""


def scores(engine: str, backend: str, rate: float = 0.01) -> dict[str, list[float]]:
    """What `SEEDS` trials end with, trained by a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", SCORES, engine, str(rate), str(SEEDS)],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1] / "training"), *filter(None, sys.path)]),
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("SEARCHLAB_ENGINES") != "all", reason="takes a minute; make test-engines runs it")
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_a_population_scores_as_fit_does() -> None:
    """Two-sample Kolmogorov-Smirnov test for each metric; a learning rate three times as high is told apart."""
    fit, population = scores("fit", "tensorflow"), scores("population", "jax")
    other = scores("population", "jax", rate=0.03)
    for metric in ("val_accuracy", "val_loss"):
        assert stats.ks_2samp(fit[metric], population[metric]).pvalue > ALPHA, (metric, np.mean(population[metric]))
    assert stats.ks_2samp(fit["val_loss"], other["val_loss"]).pvalue < ALPHA

"""Every shipped study runs for a trial; those that need a download do so on arrays of the same shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import searchlab
from searchlab.shipped import names

NEEDS_NETWORK = {"cifar10_cnn", "imdb_lstm"}


@pytest.mark.parametrize("name", names("studies"))
def test_runs_for_a_trial(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in NEEDS_NETWORK:
        _stand_in(monkeypatch)
    overrides = ["search.trials=1", "training.epochs=1", "execution.executor=inline", "execution.workers=1"]
    if name in ("stdlib_chars",):
        overrides.append("data.per_class=60")
    if name == "glyphs_cnn":
        overrides.append("data.examples=10")
    if name == "digits_few_labels":  # it begins with the best model of another one
        searchlab.load("glyphs_cnn", *overrides, "data.examples=10").run(home=tmp_path)
    handle = searchlab.load(name, *overrides)
    result = handle.run(home=tmp_path)
    assert [record.state for record in result.study.trials] == ["complete"], result.trials.to_dict()
    assert result.report.exists()
    assert result.outcome.champion is not None and result.outcome.champion.exists()


def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `keras.datasets` would give, made here: the shapes and types of CIFAR-10 and IMDB, few and random."""
    import keras

    rng = np.random.default_rng(0)

    def pictures() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        def part(n: int) -> tuple[np.ndarray, np.ndarray]:
            return rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), np.arange(n).reshape(-1, 1) % 10

        return part(120), part(40)

    def reviews(**options: object) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        def part(n: int) -> tuple[np.ndarray, np.ndarray]:
            texts = np.empty(n, dtype=object)
            texts[:] = [[1, *rng.integers(4, 1000, rng.integers(5, 300)).tolist()] for _ in range(n)]
            return texts, np.arange(n) % 2

        return part(120), part(40)

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", pictures)
    monkeypatch.setattr(keras.datasets.imdb, "load_data", reviews)
    words = {f"word{number}": number for number in range(1, 1000)}
    monkeypatch.setattr(keras.datasets.imdb, "get_word_index", lambda: words)

"""Weights on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from searchlab.errors import DataError
from searchlab.training import weights

MANY = [np.full((2, number + 1), number, np.float32) for number in range(12)]
SHAPES = [array.shape for array in MANY]


def test_what_was_saved_is_loaded_in_the_same_order(tmp_path: Path) -> None:
    path = weights.save(tmp_path / "new" / weights.name_of(7), MANY)
    assert path.name == "trial-0007.weights.npz"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    for saved, loaded in zip(MANY, weights.load(path, SHAPES), strict=True):
        assert np.array_equal(saved, loaded)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = weights.save(tmp_path / "w.npz", MANY)
    with pytest.raises(DataError, match="another model"):
        weights.load(path, SHAPES[:-1])


@pytest.mark.parametrize("harm", ["missing", "truncated", "empty", "text", "objects"])
def test_a_broken_file_is_named(tmp_path: Path, harm: str) -> None:
    path = weights.save(tmp_path / "w.npz", MANY)
    if harm == "missing":
        path.unlink()
    elif harm == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "text":
        path.write_text("not weights", encoding="ascii")
    else:
        np.savez(path, **{"0000": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(DataError, match=r"w\.npz"):
        weights.load(path, SHAPES)

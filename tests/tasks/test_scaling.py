"""Standardization."""

import numpy as np
import pytest

from searchlab.tasks import _scaling
from searchlab.tasks._scaling import Scaling


def test_training_values_get_mean_zero_and_deviation_one(monkeypatch):
    monkeypatch.setattr(_scaling, "ROWS_AT_ONCE", 7)
    values = np.random.default_rng(0).normal([1e6, -2.0], [3.0, 1e-4], (100, 4, 2))
    scaled = Scaling.fit(values).apply(values).astype(float)
    assert scaled.mean(axis=(0, 1)) == pytest.approx([0.0, 0.0], abs=1e-4)
    assert scaled.std(axis=(0, 1)) == pytest.approx([1.0, 1.0], rel=1e-4)


def test_pieces_give_what_the_whole_gives(monkeypatch):
    values = np.random.default_rng(0).integers(0, 256, (50, 3, 3, 2)).astype(np.uint8)
    monkeypatch.setattr(_scaling, "ROWS_AT_ONCE", 8)
    pieces = Scaling.fit(values)
    assert pieces.mean == pytest.approx(values.mean(axis=(0, 1, 2)))
    assert pieces.deviation == pytest.approx(values.std(axis=(0, 1, 2)))
    assert pieces.apply(values)[-1] == pytest.approx((values[-1] - np.array(pieces.mean)) / np.array(pieces.deviation))


@pytest.mark.parametrize("constant", [0.0, 0.1, 12345.678, -1e-9])
def test_a_constant_becomes_zero_and_stays_finite_elsewhere(constant):
    scaling = Scaling.fit(np.full((1000, 1), constant))
    assert scaling.apply(np.array([[constant]]))[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert scaling.apply(np.array([[constant + 1.0]]))[0, 0] == pytest.approx(1.0)


def test_undo_is_the_inverse():
    values = np.random.default_rng(0).normal(50.0, 9.0, (20, 3))
    scaling = Scaling.fit(values)
    np.testing.assert_allclose(scaling.undo(scaling.apply(values)), values, rtol=1e-5)


def test_bytes_are_looked_up_with_the_numbers_that_are_computed():
    values = np.random.default_rng(0).integers(0, 256, (20, 5, 5, 3), dtype=np.uint8)
    scaling = Scaling.fit(values)
    np.testing.assert_array_equal(scaling.apply(values), scaling.apply(values.astype(np.float64)))


def test_wide_rows_are_summed_few_at_a_time_and_narrow_ones_as_before(monkeypatch):
    values = np.random.default_rng(0).integers(0, 256, (64, 4, 4, 2)).astype(np.uint8)
    narrow = Scaling.fit(values)
    monkeypatch.setattr(_scaling, "NUMBERS_AT_ONCE", 100)
    assert Scaling.fit(values) == narrow
    monkeypatch.setattr(_scaling, "WIDE", 8)
    assert {len(part) for part in _scaling._parts(values)} == {3, 1}
    assert Scaling.fit(values).deviation == pytest.approx(narrow.deviation, rel=1e-12)

"""What is special about regression and forecasting."""

import numpy as np
import pytest

from searchlab.data import Collection, Examples
from searchlab.errors import DataError
from searchlab.tasks import TASKS

REGRESSION = TASKS.get("tabular_regression")
FORECASTING = TASKS.get("forecasting")


def table(y):
    examples = Examples(np.arange(len(y), dtype=float)[:, None], np.asarray(y))
    return Collection(examples, "table", "made up"), examples


def windows(series, *, time=8, horizon=2, other=None):
    """Windows over `series`, which is the second feature; the first is `other`, or noise."""
    noise = np.random.default_rng(9).normal(size=len(series)) if other is None else other
    both = np.stack([noise, series], axis=1)
    starts = range(len(series) - time - horizon)
    x = np.array([both[i : i + time] for i in starts])
    y = np.array([series[i + time : i + time + horizon] for i in starts])
    examples = Examples(x, y)
    return Collection(examples, "series", "made up"), examples


def test_errors_come_in_the_units_of_the_data():
    collection, examples = table([100.0, 300.0, 200.0, 400.0])
    encoding = REGRESSION.fit(collection, examples)
    y = encoding.encode(examples).y
    off_by_fifty = y + 50.0 / encoding.targets.deviation[0]
    each = REGRESSION.per_example(encoding, y, off_by_fifty)
    assert REGRESSION.combine("mae", each["mae"]) == pytest.approx(50.0)
    assert REGRESSION.combine("rmse", each["rmse"]) == pytest.approx(50.0)
    assert REGRESSION.combine("loss", each["loss"]) == pytest.approx((50.0 / np.std([1, 3, 2, 4]) / 100) ** 2)


def test_each_target_of_a_row_has_a_scale_of_its_own_and_each_step_of_a_series_has_not():
    collection, examples = table(np.array([[1.0, 100.0], [2.0, 300.0], [4.0, 0.0]]))
    a, b = REGRESSION.fit(collection, examples).targets.deviation
    assert b > 50 * a
    collection, examples = windows(np.random.default_rng(0).normal(size=50))
    a, b = FORECASTING.fit(collection, examples).targets.deviation
    assert a == b


def test_the_mean_is_the_baseline_of_a_row():
    collection, examples = table([1.0, 2.0, 6.0])
    encoding = REGRESSION.fit(collection, examples)
    arrays = encoding.encode(examples)
    assert encoding.decode(REGRESSION.baseline(encoding, arrays, arrays.x))["value"] == pytest.approx([3.0] * 3)


def test_the_last_value_is_the_baseline_of_a_series_that_wanders():
    walk = 500.0 + np.random.default_rng(0).normal(size=300).cumsum() * 10
    collection, examples = windows(walk)
    encoding = FORECASTING.fit(collection, examples.take(np.arange(200)))
    train, later = (encoding.encode(examples.take(rows)) for rows in (np.arange(200), np.arange(220, 280)))
    forecast = encoding.decode(FORECASTING.baseline(encoding, train, later.x))["value"]
    np.testing.assert_allclose(forecast, np.repeat(examples.x[220:280, -1, 1:], 2, axis=1), rtol=1e-5)


def test_the_mean_is_the_baseline_of_a_series_that_forgets():
    collection, examples = windows(np.random.default_rng(0).normal(5.0, 1.0, 300))
    encoding = FORECASTING.fit(collection, examples)
    arrays = encoding.encode(examples)
    assert encoding.decode(FORECASTING.baseline(encoding, arrays, arrays.x))["value"] == pytest.approx(
        np.tile(examples.y.mean(axis=0), (len(arrays), 1)), rel=1e-5
    )


@pytest.mark.parametrize(
    "y, message",
    [
        (["a", "b"], "is this a classification"),
        ([1.0, np.nan], "1 of 2 targets are missing or infinite, example 1 first"),
        ([3.0, 3.0], r"every target .* is \[3.0\]"),
        (np.zeros((2, 2, 2)), "shape"),
    ],
)
def test_what_is_no_target_is_refused(y, message):
    collection, examples = table(y)
    with pytest.raises(DataError, match=message):
        REGRESSION.fit(collection, examples)


def test_another_number_of_targets_than_in_training_is_refused():
    collection, examples = table([1.0, 2.0])
    encoding = REGRESSION.fit(collection, examples)
    with pytest.raises(DataError, match="1 targets, as in training, and there are 2"):
        encoding.encode(table(np.zeros((2, 2)))[1])


def test_whole_numbers_are_targets_too():
    collection, examples = table([1, 2, 3])
    encoding = REGRESSION.fit(collection, examples)
    assert encoding.decode(encoding.encode(examples).y)["value"] == pytest.approx([1.0, 2.0, 3.0])

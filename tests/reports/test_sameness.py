"""Equal values: which of them are a sign, and which are chance."""

from __future__ import annotations

from dataclasses import replace

from sample_records import record

from searchlab.reports import sameness


def measured(number, value, *, loss, curve):
    """A complete trial with this loss beside its accuracy and this accuracy after each epoch."""
    plain = record(number, value)
    metrics = {"val_accuracy": value, "val_loss": loss}
    return replace(plain, result=replace(plain.result, metrics=metrics), curve=dict(enumerate(curve, start=1)))


def good(number, value=0.95):
    return measured(number, value, loss=0.1 + number / 100, curve=[0.5 + number / 50, value])


def constant(number, value=0.1):
    return measured(number, value, loss=2.3 + number / 100, curve=[value, value, value])


def test_good_networks_may_share_a_value_by_chance():
    """E10: an accuracy on few examples takes few values."""
    assert sameness.largest([good(number) for number in range(20)]) is None


def test_five_curves_that_never_move_are_no_chance():
    """E10: each predicts one class for everything, and so has the share of that class."""
    assert sameness.largest([constant(number) for number in range(4)]) is None
    others = [good(number) for number in range(5, 8)]
    found = sameness.largest([*(constant(number) for number in range(5)), *others])
    assert found == sameness.Same(0.1, 5, 8)
    assert "5 of 8 trials have the very same val_accuracy (0.1)" in sameness.warning("val_accuracy", found)


def test_curves_that_stand_still_at_different_values_are_not_the_same():
    assert sameness.largest([constant(number, 0.1 + number / 10) for number in range(6)]) is None


def test_trials_whose_every_metric_is_equal_to_the_last_digit_are_no_chance():
    """E10: with one epoch there is no curve to look at."""
    found = sameness.largest([measured(number, 0.3, loss=1.7, curve=[0.3]) for number in range(6)])
    assert found == sameness.Same(0.3, 6, 6)


def test_failures_are_not_counted():
    assert sameness.largest([record(number, None, "failed") for number in range(9)]) is None

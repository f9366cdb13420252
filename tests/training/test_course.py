"""Best epoch, early stopping and divergence, without any training."""

from __future__ import annotations

import math

import pytest

from searchlab.records import EarlyStopping, Objective, TrainingPlan
from searchlab.training.course import Course


def course(direction: str = "maximize", stopping: EarlyStopping | None = None) -> Course:
    metric = "val_accuracy" if direction == "maximize" else "val_loss"
    return Course(TrainingPlan("task", Objective(metric, direction), epochs=20, early_stopping=stopping))  # type: ignore[arg-type]


def follow(one: Course, values: list[float]) -> int:
    """Feed objective values until the course says stop; how many it took."""
    metric = one._objective.metric
    for count, value in enumerate(values, start=1):
        one.take({"loss": 1.0, "val_loss": 1.0, metric: value})
        if one.should_stop:
            return count
    return len(values)


def test_the_first_of_equal_epochs_is_the_best() -> None:
    one = course()
    follow(one, [0.1, 0.5, 0.5, 0.4])
    assert (one.value, one.best_epoch) == (0.5, 2)


def test_patience_counts_epochs_without_progress() -> None:
    assert follow(course(stopping=EarlyStopping(2)), [0.1, 0.2, 0.2, 0.1, 0.9]) == 4
    assert follow(course("minimize", EarlyStopping(2)), [3.0, 2.0, 2.0, 2.5, 0.1]) == 4


def test_small_steps_are_no_progress_but_may_be_the_best() -> None:
    one = course(stopping=EarlyStopping(2, min_delta=0.1))
    assert follow(one, [0.50, 0.55, 0.58, 0.9]) == 3
    assert one.value == 0.58
    one = course("minimize", EarlyStopping(2, min_delta=0.1))
    assert follow(one, [0.50, 0.45, 0.42, 0.1]) == 3


def test_small_steps_that_add_up_are_progress() -> None:
    assert follow(course(stopping=EarlyStopping(2, min_delta=0.1)), [0.50, 0.56, 0.62, 0.68, 0.74]) == 5


def test_without_early_stopping_nothing_stops_a_bad_course() -> None:
    assert follow(course(), [0.5] + [0.1] * 15) == 16


@pytest.mark.parametrize("name", ["loss", "total_loss", "val_loss", "val_accuracy"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_diverged_even_after_a_good_epoch(name: str, value: float) -> None:
    one = course()
    one.take({"loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.9})
    assert not one.take({"loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.95, name: value})
    assert one.diverged and one.should_stop
    assert (one.value, one.best_epoch, one.epochs) == (0.9, 1, 2)


def test_history_is_a_loss_whatever_the_direction() -> None:
    up, down = course(), course("minimize")
    follow(up, [0.1, 0.2])
    follow(down, [2.0, 1.0])
    assert (up.history, down.history) == ([-0.1, -0.2], [2.0, 1.0])

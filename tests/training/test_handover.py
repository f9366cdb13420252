"""A function that calls back, as a generator."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from searchlab.training.handover import handover


def count(report: Callable[[int], bool]) -> str:
    """Report 0, 1, 2, … until told to stop."""
    number = 0
    while not report(number):
        number += 1
    return f"stopped at {number}"


def test_answers_reach_the_function_and_the_result_comes_last() -> None:
    progress = handover(count)
    assert next(progress) == 0
    assert progress.send(False) == 1
    assert progress.send(False) == 2
    assert progress.send(True) == "stopped at 2"
    with pytest.raises(StopIteration):
        next(progress)


def test_none_means_go_on() -> None:
    progress = handover(count)
    assert [next(progress), next(progress), next(progress)] == [0, 1, 2]
    progress.close()


def test_an_error_is_raised_where_the_generator_is_used() -> None:
    def fail(report: Callable[[int], bool]) -> str:
        report(1)
        raise ValueError("broken")

    progress = handover(fail)
    assert next(progress) == 1
    with pytest.raises(ValueError, match="broken"):
        next(progress)


def test_a_closed_generator_leaves_no_thread_and_the_function_cleans_up() -> None:
    cleaned = threading.Event()
    taken_for_an_error = threading.Event()

    def work(report: Callable[[int], bool]) -> str:
        try:
            return count(report)
        except Exception:
            taken_for_an_error.set()
            raise
        finally:
            cleaned.set()

    before = threading.active_count()
    progress = handover(work)
    next(progress)
    progress.close()
    assert cleaned.is_set() and not taken_for_an_error.is_set()
    assert threading.active_count() == before

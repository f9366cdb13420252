"""The shapes of the schedules, at points that can be worked out by hand."""

import math

import numpy as np
import pytest

from searchlab.optim import SCHEDULES


def factors(name, *, epoch, epochs, steps=1, history=(), **options):
    schedule = SCHEDULES.get(name)
    return schedule.factors(schedule.Options(**options), epoch=epoch, epochs=epochs, steps=steps, history=history)


def test_cosine_starts_full_is_half_in_the_middle_and_nears_its_end():
    assert factors("cosine", epoch=1, epochs=4)[0] == 1.0
    assert factors("cosine", epoch=3, epochs=4, final=0.2)[0] == pytest.approx(0.6)
    assert factors("cosine", epoch=1000, epochs=1000, final=0.2)[0] == pytest.approx(0.2, abs=1e-4)


def test_warmup_rises_in_a_straight_line_and_joins_the_cosine_at_its_top():
    rates = np.concatenate([factors("warmup_cosine", epoch=e, epochs=2, steps=10, warmup=0.2) for e in (1, 2)])
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert (np.diff(rates[4:]) < 0).all()
    assert rates[12] == pytest.approx(0.5)


def test_step_cuts_after_each_share_of_the_run_and_keeps_between():
    rates = [float(factors("step", epoch=e, epochs=6, every=1 / 3, factor=0.1)[0]) for e in range(1, 7)]
    assert rates == pytest.approx([1.0, 1.0, 0.1, 0.1, 0.01, 0.01])
    fourth = factors("step", epoch=4, epochs=10, every=0.1, factor=0.5)[0]
    assert fourth == pytest.approx(0.125)  # 0.3 / 0.1 is less than 3 in floating point


def test_plateau_cuts_after_patience_epochs_without_improvement_down_to_its_minimum():
    def at(*history):
        return factors("plateau", epoch=9, epochs=9, history=history, patience=2, factor=0.1, minimum=0.05)[0]

    assert at() == 1.0
    assert at(0.5, 0.6) == 1.0
    assert at(0.5, 0.6, 0.5) == pytest.approx(0.1)
    assert at(0.5, 0.6, 0.4, 0.6) == 1.0
    assert at(0.5, math.nan, math.nan) == pytest.approx(0.1)
    assert at(0.5, 0.6, 0.6, 0.6) == pytest.approx(0.1)
    assert at(0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6) == pytest.approx(0.05)

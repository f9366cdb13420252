"""What holds for every schedule, those not written yet included."""

import numpy as np
import pytest
from other_values import bases_and_changes

from searchlab.optim import SCHEDULES

HISTORY = (1.0, 0.5, 0.6, float("nan"), 0.7, 0.8, 0.4, *[0.9] * 40)


def run(schedule, options, *, epochs=48, steps=5):
    """The factors of a whole run."""
    parts = [
        schedule.factors(options, epoch=e, epochs=epochs, steps=steps, history=HISTORY[: e - 1])
        for e in range(1, epochs + 1)
    ]
    return np.concatenate(parts)


@pytest.mark.parametrize("name", SCHEDULES.names())
class TestEverySchedule:
    @pytest.mark.parametrize("epochs, steps", [(1, 1), (1, 7), (2, 1), (16, 5)])
    def test_stays_within_the_base_rate(self, name, epochs, steps):
        schedule = SCHEDULES.get(name)
        factors = run(schedule, schedule.Options(), epochs=epochs, steps=steps)
        assert factors.shape == (epochs * steps,)
        assert (factors >= 0.0).all() and (factors <= 1.0).all()
        assert factors[0] > 0.0

    def test_has_no_dead_option(self, name):
        schedule = SCHEDULES.get(name)
        for field in schedule.Options.model_fields:
            pairs = bases_and_changes(schedule.Options, field)
            assert any((run(schedule, base) != run(schedule, changed)).any() for base, changed in pairs), field

    def test_is_a_pure_function(self, name):
        schedule, history = SCHEDULES.get(name), list(HISTORY)
        arguments = {"epoch": 16, "epochs": 20, "steps": 4, "history": history}
        first = schedule.factors(schedule.Options(), **arguments)
        run(schedule, schedule.Options())
        assert (schedule.factors(schedule.Options(), **arguments) == first).all()
        np.testing.assert_array_equal(history, HISTORY)

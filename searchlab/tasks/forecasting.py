"""Tell the next values of a series from a window of its past."""

from __future__ import annotations

import numpy as np

from searchlab.data import Array
from searchlab.tasks import Arrays, Task
from searchlab.tasks._inputs import Series
from searchlab.tasks._regression import Regression


def last_value(train: Arrays, x: Array) -> Array:
    """The last value of the window, for every step ahead: the forecast to beat.

    Inputs and targets have scales of their own, and no name says which feature is forecast: a line from the last
    value of each feature to the first target is fitted on the training windows, and the feature that fits best is
    taken.  Where the target is one of the features, that line is the identity but for the scales.
    """
    target = train.y[:, 0].astype(np.float64)
    best: tuple[float, int, Array] | None = None
    for feature in range(train.x.shape[2]):
        last = train.x[:, -1, feature].astype(np.float64)
        line = np.polyfit(last, target, 1) if np.ptp(last) > 0 else np.array([0.0, target.mean()])
        error = float(np.square(np.polyval(line, last) - target).mean())
        if best is None or error < best[0]:
            best = (error, feature, line)
    assert best is not None
    _, feature, line = best
    forecast = np.polyval(line, x[:, -1, feature].astype(np.float64))
    return np.repeat(forecast[:, None], train.y.shape[1], axis=1).astype(np.float32)


TASK: Task = Regression({"series": Series}, trivial=last_value, has_one_scale=True)

"""Tell the next values of a series from a window of its past."""

from __future__ import annotations

import numpy as np

from searchlab.data import Array
from searchlab.tasks import Arrays, Task
from searchlab.tasks._regression import Regression, RegressionEncoding, mean_of_targets
from searchlab.tasks._series import Series


def last_value(encoding: RegressionEncoding, train: Arrays, x: Array) -> Array:
    """The forecast to beat: the last value of the window, for every step ahead, or the mean where that is nearer.

    No name says which feature is forecast, so each is tried, and the one with the smallest squared error on the
    training windows is taken.
    """
    assert isinstance(encoding.inputs, Series)
    scaling, units = encoding.inputs.scaling, encoding.problem.units

    def carried_on(x: Array, feature: int) -> Array:
        last = x[:, -1, feature] * scaling.deviation[feature] + scaling.mean[feature]
        return encoding.targets.apply(np.repeat(last[:, None], units, axis=1))

    def error(outputs: Array) -> float:
        return float(np.square(outputs - train.y).mean())

    features = range(train.x.shape[2])
    best = min(features, key=lambda feature: error(carried_on(train.x, feature)))
    mean = mean_of_targets(encoding, train, x)
    return carried_on(x, best) if error(carried_on(train.x, best)) < error(train.y.mean(axis=0)) else mean


TASK: Task = Regression({"series": Series}, trivial=last_value, has_one_scale=True)

"""The chosen trial as a file: its model rebuilt, completed, written, and asked for a few answers.

Why in a child: it has Keras and the validation rows in memory, and the supervisor has neither.
"""

from __future__ import annotations

import numpy as np

from searchlab.data import Array, Examples
from searchlab.records import Confusion, TrainingPlan
from searchlab.runner.messages import Finish, Finished
from searchlab.tasks import TASKS, Arrays, Classifier, Encoding
from searchlab.training import champion

EXAMPLE_ROWS = 3
"""So many raw examples go with the logged model, to show what it takes."""


def finish(order: Finish, plan: TrainingPlan, encoding: Encoding, validation: Examples) -> Finished:
    """Do as `order` says; what goes wrong is told in the answer, since nothing finished is lost by it."""
    try:
        core = champion.restore(plan, encoding, order.trial, order.weights)
        arrays = encoding.encode(validation)
        outputs = champion.predict(core, arrays.x)
        sd = deviation(plan, encoding, arrays, outputs)
        model = champion.exportable(core, encoding)
        champion.export(model, order.path, "keras", card=order.card)
        few = validation.take(np.arange(min(EXAMPLE_ROWS, len(validation))))
        rows = few.x if few.categories is None else encoding.encode_inputs(few)  # words are encoded before the model
        confusion = confusion_of(plan, encoding, arrays, outputs, order.trial.number)
        return Finished(sd, rows, champion.predict(model, rows), confusion=confusion)
    except Exception as error:
        nothing = np.zeros((0, 1), np.float32)
        return Finished(float("nan"), nothing, nothing, f"{type(error).__name__}: {error}".partition("\n")[0])


def deviation(plan: TrainingPlan, encoding: Encoding, examples: Arrays, outputs: Array) -> float:
    """The standard deviation of the objective over single `examples`: what one score's noise comes from."""
    task = TASKS.get(plan.task)
    metric = plan.objective.metric.removeprefix("val_")
    rows = task.per_example(encoding, examples.y, outputs)[metric]
    spread, mean, value = float(np.std(rows)), float(np.mean(rows)), task.combine(metric, rows)
    is_root = value > 0 and not np.isclose(mean, value) and np.isclose(mean, value**2)
    return spread / (2 * value) if is_root else spread  # the delta method, for the root of a mean


def confusion_of(
    plan: TrainingPlan, encoding: Encoding, examples: Arrays, outputs: Array, trial: int
) -> Confusion | None:
    """Which classes the model of `trial` takes for which; None for a task without classes."""
    task = TASKS.get(plan.task)
    if not isinstance(task, Classifier):
        return None
    counts = task.confusion(encoding, examples.y, outputs).tolist()
    return Confusion(trial, task.class_names(encoding), tuple(map(tuple, counts)))

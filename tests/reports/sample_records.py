"""Trials for the tests of the reports."""

from __future__ import annotations

from searchlab.records import Trial, TrialRecord, TrialResult
from searchlab.space import Params


def record(number, value, state="complete", **params):
    values = {"model": "cnn", "model.cnn.depth": number + 1, **params}
    ended = TrialResult(
        number,
        state,
        value,
        best_epoch=3 if value is not None else None,
        epochs=5,
        seconds=1.25,
        metrics={"val_accuracy": value, "val_loss": 0.5} if value is not None else {},
        reason={"failed": "diverged", "pruned": "pruned after epoch 5"}.get(state),
        parameter_count=1000,
    )
    return TrialRecord(Trial(number, Params(values), seed=number + 40), state, value, ended)

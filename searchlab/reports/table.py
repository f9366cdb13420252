"""All trials of a study as one table, and as a CSV file that a spreadsheet cannot be tricked with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from searchlab.lazy import lazy
from searchlab.records import StudyResult, TrialRecord
from searchlab.reports import gpu

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy("pandas")

COLUMNS = ("number", "state", "value", "best_epoch", "epochs", "seconds", "seed", "replicate", "attempt", "reason")
"""What every table begins with; figures of GPUs where there are some, parameters and metrics follow by name."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet would run."""


def trials_frame(result: StudyResult) -> pd.DataFrame:
    """One row a trial, in the order of their numbers; parameters that a trial lacks are missing values.

    Parameter columns bear their labels (`model.depth`); metric columns are those of the best epoch (`val_loss`).
    """
    records = sorted(result.trials, key=lambda record: record.trial.number)
    params = list(dict.fromkeys(label for record in records for label in record.trial.params.labels()))
    metrics = list(
        dict.fromkeys(name for record in records for name in (record.result.metrics if record.result else ()))
    )
    measured = gpu.COLUMNS if gpu.is_measured(records) else ()
    frame = pd.DataFrame([_row(record) for record in records], columns=[*COLUMNS, *measured, *params, *metrics])
    whole = ["number", "best_epoch", "epochs", "seed", "replicate", "attempt"]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def to_csv(frame: pd.DataFrame) -> str:
    """`frame` as CSV; texts that begin like a formula get a leading apostrophe, control characters become blanks."""
    safe = frame.rename(columns=lambda name: harmless(str(name)))
    for place, name in enumerate(frame.columns):
        if not pd.api.types.is_numeric_dtype(frame[name]):
            safe.isetitem(place, [harmless(value) for value in frame[name]])
    return str(safe.to_csv(index=False))


def _row(record: TrialRecord) -> dict[str, Any]:
    trial, ended = record.trial, record.result
    first = {
        "number": trial.number,
        "state": record.state,
        "value": record.value,
        "best_epoch": ended.best_epoch if ended else None,
        "epochs": ended.epochs if ended else len(record.curve),
        "seconds": ended.seconds if ended else None,
        "seed": trial.seed,
        "replicate": trial.replicate,
        "attempt": trial.attempt,
        "reason": ended.reason if ended else None,
    }
    figures = dict(zip(gpu.COLUMNS, gpu.figures(record), strict=True))
    return {**(ended.metrics if ended else {}), **trial.params.labels(), **figures, **first}


def harmless(value: Any) -> Any:
    """`value` as a cell that no spreadsheet runs."""
    if not isinstance(value, str):
        return value
    text = "".join(character if character.isprintable() else " " for character in value)
    return f"'{text}" if value.startswith(FORMULA) else text

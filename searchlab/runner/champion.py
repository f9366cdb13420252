"""The best trial as a model: rebuilt from its weights, written to files."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchlab.data.prepare import Prepared, load_search
from searchlab.errors import AllTrialsFailed, DataError, StudyConflict
from searchlab.records import StudyResult, TrainingPlan, TrialRecord
from searchlab.runner.home import Home
from searchlab.runner.lab import plan_of
from searchlab.runner.stored import read_study, stored_spec
from searchlab.tasks import TASKS, Encoding
from searchlab.training import champion as training
from searchlab.training.model_card import ModelCard, card_of
from searchlab.training.quiet import load_quietly


@dataclass(frozen=True)
class Candidate:
    """A trial of a stored study, with everything that its model is rebuilt from."""

    result: StudyResult
    record: TrialRecord
    weights: Path
    plan: TrainingPlan
    encoding: Encoding
    data_folder: Path
    """What the search saw."""
    sealed_folder: Path
    """The test rows, for `SealedTest` alone."""
    card: ModelCard
    """How its model wants inputs, and what comes out."""

    def digest(self) -> str:
        """Names this very model: the configuration, the seed and the bytes of its weights."""
        content = hashlib.sha256(self.weights.read_bytes()).hexdigest()
        text = json.dumps([self.record.trial.params.digest(), self.record.trial.seed, content])
        return hashlib.sha256(text.encode()).hexdigest()

    def model(self) -> Any:
        """The Keras model, encoded inputs in, outputs before softmax."""
        load_quietly()
        return training.restore(self.plan, self.encoding, self.record.trial, self.weights)

    def complete(self) -> Any:
        """The Keras model, raw inputs in, probabilities or values out."""
        return training.exportable(self.model(), self.encoding)


def candidate(name: str, home: Home, *, storage: str | None = None, trial: int | None = None) -> Candidate:
    """The best trial of the study `name`, or the one with the number `trial`.

    Raises:
        AllTrialsFailed: No trial is complete.
        StudyConflict: The trial's weights are not kept, or the study was run on another machine.
    """
    result = read_study(name, home, storage)
    record = result.best
    if trial is not None:
        record = next((r for r in result.trials if r.trial.number == trial), None)
    if record is None:
        raise AllTrialsFailed(f"study {name!r} has no {'complete trial' if trial is None else f'trial {trial}'}")
    weights = weights_of(result, record)
    spec = stored_spec(name, home, storage)
    folder = home.study(name).folder
    prepared = Prepared.from_json(_read(folder / "data.json"))
    encoding = TASKS.get(spec.task).restore(_read(folder / "encoding.json"))
    card = card_of(spec, prepared, encoding, dtype=_dtype(prepared), trial=record.trial.number)
    return Candidate(
        result=result,
        record=record,
        weights=weights,
        plan=plan_of(spec, result.objective, home),
        encoding=encoding,
        data_folder=Path(prepared.folder),
        sealed_folder=Path(prepared.sealed_folder),
        card=card,
    )


def weights_of(result: StudyResult, record: TrialRecord) -> Path:
    """The file with the weights of a trial.

    Raises:
        StudyConflict: They are not kept, or the study was run on another machine.
    """
    weights = Path(record.result.weights) if record.result and record.result.weights else None
    if weights is not None and weights.exists():
        return weights
    kept = sorted(
        r.trial.number for r in result.trials if r.result and r.result.weights and Path(r.result.weights).exists()
    )
    raise StudyConflict(
        f"the weights of trial {record.trial.number} of {result.name!r} are not on this machine; "
        f"kept are those of {', '.join(map(str, kept)) or 'no trial'} (execution.keep_weights says how many)"
    )


def export(
    name: str, home: Home, *, storage: str | None = None, path: Path, form: str = "keras", trial: int | None = None
) -> Path:
    """Write a trial's model, raw inputs in, probabilities or values out, as "keras", "onnx" or "saved_model".

    Raises:
        MissingExtra: A library for that format is not installed.
    """
    chosen = candidate(name, home, storage=storage, trial=trial)
    return training.export(chosen.complete(), path, form, card=chosen.card.to_json())


def _dtype(prepared: Prepared) -> str:
    """Of the inputs, as training had them; "" where the data was removed, which nothing else here needs."""
    with contextlib.suppress(DataError):
        return str(load_search(prepared.folder)[1].train.x.dtype)
    return ""


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing: the study was run with another --home, or its folder was removed"
        ) from None

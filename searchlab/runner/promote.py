"""A study's model, offered to others: a version of a registered model, with an alias and a model card."""

from __future__ import annotations

import hashlib
import re
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from searchlab.errors import AllTrialsFailed, DataError, SpecError, StudyConflict
from searchlab.records import StudyResult, TrialRecord
from searchlab.reports.card import card
from searchlab.runner.home import Home, StudyFolder
from searchlab.runner.outcome import CHAMPION, result_of
from searchlab.runner.stored import open_study, stored_spec
from searchlab.runner.tracked import experiment_of, start_of, tracker_of
from searchlab.spec import NAME
from searchlab.tracking import PROMOTED, Registered, Release
from searchlab.training import model_card

ALIAS = r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}"
RESERVED = r"(?i)latest|v\d+"
"""Aliases that MLflow keeps for itself."""


@dataclass(frozen=True)
class Promotion:
    """What was registered, and the words for it."""

    registered: Registered
    load: str
    """The Python that loads the model, with MLFLOW_TRACKING_URI set to the study's store."""
    lines: tuple[str, ...]


def promote(
    name: str, home: Home, *, storage: str | None = None, alias: str = "champion", model_name: str | None = None
) -> Promotion:
    """Register the best model of the study `name` as `model_name` (the study's own name), and have `alias` point to it.

    The same model is registered once, however often it is asked for; its card is written anew.

    Raises:
        AllTrialsFailed: There is no best trial.
        SpecError: A name that cannot be used, or a study that is not tracked.
        StudyConflict: The model of the best trial was not made, or not logged, or is another by now.
        DataError: The logged files are not those that were logged; nothing was registered.
        ServiceError: The tracking store cannot be reached, or does not let this user do that.
    """
    model = model_name or name
    _check_names(model, alias)
    spec = stored_spec(name, home, storage)
    with closing(open_study(name, home, storage)) as study:
        result = result_of(study, home)
        best = result.best
        if best is None:
            raise AllTrialsFailed(f"study {name!r} has no complete trial, so there is no model to register")
        load = f'mlflow.pyfunc.load_model("models:/{model}@{alias}")'
        classes = _classes(result, home.study(name))
        release = Release(
            model=model,
            alias=alias,
            trial=best.trial.number,
            sha256=_digest(result, best, home.study(name)),
            card=card(result, best, load=f"import mlflow\nmodel = {load}", classes=classes),
            attachments=_attachments(home.study(name)),
        )
        registered = tracker_of(spec).promote(
            spec.tracking.uri,
            experiment=experiment_of(spec),
            home=home.folder,
            start=start_of(spec, result.objective, result.facts),
            result=result,
            release=release,
        )
        study.remember(**{PROMOTED: registered.among(result.facts.get(PROMOTED, ()))})
    return Promotion(registered, load, tuple(_lines(registered, result, best, load)))


def _check_names(model: str, alias: str) -> None:
    """Refuse what would mean something else in an address, before anything is written."""
    if re.fullmatch(NAME, model) is None:
        raise SpecError(
            f"{model!r} cannot be the name of a model: letters, digits, '.', '_' and '-', the first a letter or a digit"
        )
    if re.fullmatch(ALIAS, alias) is None or re.fullmatch(RESERVED, alias):
        raise SpecError(
            f"{alias!r} cannot be an alias: letters, digits, '_' and '-', the first a letter or a digit; and neither "
            "'latest' nor v1, v2, …, which MLflow keeps for itself"
        )


def _digest(result: StudyResult, best: TrialRecord, folder: StudyFolder) -> str:
    """The hash of the best trial's model, as the storage has it.

    Raises:
        StudyConflict: The model is that of another trial, or none was made.
    """
    noted: dict[str, Any] | None = result.facts.get(CHAMPION) or _of_file(folder)
    if noted is None or noted["trial"] != best.trial.number:
        made = "no model of it was made" if noted is None else f"the model was made of trial {noted['trial']}"
        raise StudyConflict(
            f"trial {best.trial.number} is the best of {result.name!r}, and {made}. Where its weights are, make it:  "
            f"searchlab resume {result.name}"
        )
    return str(noted["sha256"])


def _of_file(folder: StudyFolder) -> dict[str, Any] | None:
    """What the file on this machine says, for studies of versions that noted nothing in the storage."""
    if not folder.champion.exists():
        return None
    found = model_card.read(folder.champion)
    digest = hashlib.sha256(folder.champion.read_bytes()).hexdigest()
    return None if found is None else {"trial": found.trial, "sha256": digest}


def _classes(result: StudyResult, folder: StudyFolder) -> tuple[str, ...] | None:
    """What the outputs stand for, where this machine knows it."""
    if result.confusion is not None:
        return result.confusion.classes
    try:
        found = model_card.read(folder.champion)
    except DataError:
        return None
    return None if found is None else found.classes


def _attachments(folder: StudyFolder) -> dict[str, bytes | str]:
    return {"report.html": folder.report.read_bytes()} if folder.report.exists() else {}


def _lines(registered: Registered, result: StudyResult, best: TrialRecord, load: str) -> list[str]:
    one = f"{registered.model} version {registered.version}"
    of = f"trial {best.trial.number} of {result.name}"
    first = f"{one} is registered: {of}." if registered.is_new else f"{one} is {of} already; no other was made."
    if registered.before is None:
        moved = f"The alias {registered.alias} points to it, and pointed to nothing before."
    elif registered.before == registered.version:
        moved = f"The alias {registered.alias} points to it, as before."
    else:
        was = f"version {registered.before} ({registered.before_of})"
        moved = f"The alias {registered.alias} points to it, and pointed to {was} before."
    return [first, moved, f"To load it: {load}"]

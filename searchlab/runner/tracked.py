"""Tracking sessions of a study: what is known at its start, and a line to its tracker for what comes later."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from searchlab.records import Objective, TrialRecord
from searchlab.runner.home import Home
from searchlab.runner.legacy import tell_left_behind
from searchlab.space import Float, Int, label
from searchlab.spec import StudySpec
from searchlab.tracking import TRACKERS, DataFacts, Session, StudyStart, Tracker

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds that the end of a run waits for a slow tracking store; what is undelivered then is kept in a file."""


@contextmanager
def closing(session: Session) -> Iterator[Session]:
    """Close `session` at the end, whatever happens, and say what it could not deliver."""
    try:
        yield session
    finally:
        delivery = session.close(PATIENCE)
        if not delivery.is_complete:
            log.warning("%s", delivery)


def open_session(
    spec: StudySpec,
    home: Home,
    objective: Objective,
    facts: Mapping[str, Any],
    records: Callable[[], Iterable[TrialRecord]],
    *,
    is_led_elsewhere: bool = False,
) -> Session:
    """A session for the study that knows what is known of it; `records` are asked for where one before it died."""
    session = tracker_of(spec).open(spec.tracking.uri, experiment=experiment_of(spec), home=home.folder)
    start = start_of(spec, objective, facts)
    session.study_started(replace(start, is_led_elsewhere=is_led_elsewhere))
    tell_left_behind(session, records)
    return session


def tracker_of(spec: StudySpec) -> Tracker:
    """What writes the study down."""
    return TRACKERS.get("mlflow" if spec.tracking.enabled else "none")


def experiment_of(spec: StudySpec) -> str:
    """The name of the experiment that the study's runs are in."""
    return spec.tracking.experiment or spec.name


def start_of(spec: StudySpec, objective: Objective, facts: Mapping[str, Any]) -> StudyStart:
    """What is known of a study before its first trial."""
    varied = spec.space.varied
    scaled = [p for p in varied if isinstance(p.domain, Int | Float) and p.domain.log]
    versions = facts.get("versions", {})
    return StudyStart(
        name=spec.name,
        uid=str(facts["uid"]),
        objective=objective,
        budget=spec.search.trials,
        seed=spec.seed,
        data=DataFacts(
            name=str(facts["data"]),
            digest=str(facts["data_digest"]),
            description=str(facts["data_description"]),
            counts=dict(facts["counts"]),
        ),
        description=(
            f"{spec.task} on {facts['data']}: {spec.search.sampler.name} search with {spec.search.pruner.name} "
            f"pruning over {len(varied)} parameters, up to {spec.training.epochs} epochs a trial."
        ),
        resolved=str(facts["resolved"]),
        varied=tuple(dict.fromkeys(label(parameter.name) for parameter in varied)),
        log_scaled=tuple(dict.fromkeys(label(parameter.name) for parameter in scaled)),
        facts=facts,
        tags={
            "git_commit": str(facts.get("git_commit") or "none"),
            "space_digest": str(facts["space_digest"]),
            **{
                name: str(versions[name]) for name in ("searchlab", "keras", "tensorflow", "optuna") if name in versions
            },
        },
    )

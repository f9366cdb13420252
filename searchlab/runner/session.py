"""One run of a study on this machine: create or join it, supervise, choose, write down."""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from searchlab.config.writer import to_yaml
from searchlab.errors import SearchlabError
from searchlab.executors import EXECUTORS, Slot
from searchlab.records import StudyResult
from searchlab.reports.words import study_lines
from searchlab.runner.calibration import known
from searchlab.runner.champion import candidate, deviation
from searchlab.runner.engines import AUTO, Choice, candidates, choose
from searchlab.runner.home import Home
from searchlab.runner.lab import Lab, assemble, facts_of, families_of, keep
from searchlab.runner.lock import only_one
from searchlab.runner.messages import ENTRY, Setup
from searchlab.runner.outcome import attachments, result_of, write_report
from searchlab.runner.slots import slots
from searchlab.runner.supervisor import Ending, Limits, Supervisor
from searchlab.runner.tracked import PATIENCE, session_of
from searchlab.runner.watch import Opening, Watcher
from searchlab.search.study import Study
from searchlab.space import Pick
from searchlab.spec import StudySpec
from searchlab.tracking import Session
from searchlab.training import champion as training

log = logging.getLogger(__name__)

FINISHED = ("complete", "pruned", "failed")
EXAMPLE_ROWS = 3
"""So many raw examples go with the logged model, to show what it takes."""


@dataclass(frozen=True)
class Outcome:
    """What a session came to."""

    result: StudyResult
    ending: Ending
    pause_reason: str | None
    lines: tuple[str, ...]
    """The closing words."""
    view: str | None
    """Where MLflow shows the trials side by side; for the embedded store the part after the host."""
    report: Path
    champion: Path | None

    @property
    def failures(self) -> str:
        """The reasons of failed trials with their counts, most frequent first."""
        reasons = Counter(r.result.reason for r in self.result.trials if r.state == "failed" and r.result)
        return "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common(5))


def run(spec: StudySpec, home: Home, watcher: Watcher) -> Outcome:
    """Run `spec` until its budget is spent, its time is up or someone asks to stop.

    A study of the same name that was begun before goes on where it stopped.

    Raises:
        SpecError: Faults of the study file, all together.
        DataError: The data cannot be read, split or learned from.
        StudyConflict: The stored study of this name differs in more than its budget.
        ServiceError: The storage cannot be reached.
    """
    lab = assemble(spec, home, watcher)
    with only_one(lab.folder.folder, spec.name):
        study = _create(lab)
        with session_of(spec, home, study.objective, study.facts) as session:
            ending, reason = _supervise(lab, study, session, watcher)
            return _conclude(lab, study, ending, reason, session, watcher)


def _create(lab: Lab) -> Study:
    """The study in the storage, new or found again, and what later commands need in its folder."""
    spec = lab.spec
    resolved = to_yaml(spec.resolved())
    facts: dict[str, Any] = {
        **facts_of(lab),
        "resolved": resolved,
        "folder": str(spec.folder),
        "uid": uuid.uuid4().hex,
    }
    study = Study.create(
        spec.storage or lab.home.storage_url,
        spec.name,
        space=spec.space,
        objective=lab.checked.objective,
        sampler=Pick(spec.search.sampler.name, lab.checked.sampler.model_dump()),
        pruner=Pick(spec.search.pruner.name, lab.checked.pruner.model_dump()),
        epochs=lab.plan.epochs,
        seed=spec.seed,
        facts=facts,
        first_guesses=lab.guesses,
    )
    study.remember(budget=spec.search.trials, resolved=resolved)
    keep(lab, resolved)
    study.requeue_stale()
    return study


def _supervise(lab: Lab, study: Study, session: Session, watcher: Watcher) -> tuple[Ending, str | None]:
    """Train until the end; nothing is started when the budget is spent already."""
    spec = lab.spec
    wanted = study.remaining(spec.search.trials)
    if wanted == 0:
        return "done", None
    choice = _engine(lab, study)
    places = slots(
        spec.execution.workers,
        spec.execution.threads,
        spec.execution.gpus,
        deterministic=spec.training.deterministic,
        extra=choice.environment(),
    )[:wanted]
    watcher.stage(f"starting {len(places)} {'worker' if len(places) == 1 else 'workers'}")
    setup = Setup(
        data=str(lab.prepared.folder),
        encoding=lab.encoding.to_json(),
        plan=lab.plan,
        engine=choice.engine,
        prunes=spec.search.pruner.name != "none",
    )
    pool = EXECUTORS.get(spec.execution.executor).open(
        places, entry=ENTRY, setup=setup, log_folder=str(lab.folder.logs)
    )
    supervisor = Supervisor(
        study=study,
        pool=pool,
        objective=study.objective,
        limits=Limits(spec.search.trials, spec.search.timeout, spec.execution.keep_weights),
        prunes=setup["prunes"],
        listeners=(session,),
        watcher=watcher,
    )
    records = study.records()
    supervisor.remember_weights(iter(records))
    watcher.opened(_opening(lab, places, sum(record.state in FINISHED for record in records)))
    try:
        ending = supervisor.run()
    finally:
        watcher.closed()
        pool.close()
        study.requeue_stale(lost=False)
    return ending, supervisor.pause_reason


def _engine(lab: Lab, study: Study) -> Choice:
    """What trains the study; one that is resumed stays with the engine and backend that it was begun with.

    Why: another backend draws other first weights from a trial's seed, and trials of one study shall compare.
    """
    asked, begun = lab.spec.training.engine, study.facts.get("trained_by")
    if asked == AUTO and begun and begun["engine"] in candidates(lab.plan):
        asked = begun["engine"]
    choice = choose(asked, plan=lab.plan, families=families_of(lab.spec), measured=known(lab))
    study.remember(trained_by={"engine": choice.engine, "backend": choice.backend, "reason": choice.reason})
    return choice


def _opening(lab: Lab, places: tuple[Slot, ...], finished: int) -> Opening:
    return Opening(
        study=lab.spec.name,
        objective=lab.checked.objective,
        budget=lab.spec.search.trials,
        finished=finished,
        epochs=lab.plan.epochs,
        workers=len(places),
        description=lab.collection.description,
        timeout=lab.spec.search.timeout,
    )


def _conclude(
    lab: Lab, study: Study, ending: Ending, reason: str | None, session: Session, watcher: Watcher
) -> Outcome:
    """Keep the champion, write the report, close the parent run."""
    champion: Path | None = None
    if ending != "interrupted":
        watcher.stage("writing the best model and the report")
        champion = _keep_champion(lab, study, session)
    result = result_of(study, lab.home)
    report = write_report(result, study.space, lab.folder.report)
    if ending != "interrupted":
        session.study_finished(result, attachments(result, study.space))
    return Outcome(
        result=result,
        ending=ending,
        pause_reason=reason,
        lines=tuple(study_lines(result, sd=result.facts.get("objective_sd"))),
        view=session.view_url(PATIENCE),
        report=report,
        champion=champion,
    )


def _keep_champion(lab: Lab, study: Study, session: Session) -> Path | None:
    """Save the best model, raw inputs in, and hand it to the tracker; a study without a complete trial has none."""
    if result_of(study, lab.home).best is None:
        return None
    try:
        chosen = candidate(lab.spec.name, lab.home, storage=lab.spec.storage)
    except SearchlabError as error:  # its weights are gone: the search itself is not lost for that
        log.warning("the best model cannot be written: %s", error)
        return None
    core = chosen.model()
    study.remember(objective_sd=deviation(chosen, core, lab.splits.validation))
    model = training.exportable(core, chosen.encoding)
    path = training.export(model, lab.folder.champion, "keras")
    few = lab.splits.validation.take(np.arange(min(EXAMPLE_ROWS, len(lab.splits.validation))))
    rows = few.x if few.categories is None else lab.encoding.encode(few).x  # words are encoded before the model
    session.log_model(model, inputs=rows, outputs=training.predict(model, rows))
    return path

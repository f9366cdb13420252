"""One run of a study on this machine: create or join it, supervise, choose, write down."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from searchlab.config.writer import to_yaml
from searchlab.errors import SearchlabError
from searchlab.failpoints import failpoint
from searchlab.records import ENDED, Checkpoints, StudyResult, TrialRecord, best_of
from searchlab.reports.words import fork_lines, study_lines
from searchlab.runner import classes, tracked
from searchlab.runner.calibration import choice_of
from searchlab.runner.champion import weights_of
from searchlab.runner.check import check
from searchlab.runner.early import Children
from searchlab.runner.engines import Choice, choose
from searchlab.runner.finish import finish
from searchlab.runner.home import Home
from searchlab.runner.lab import Lab, assemble, facts_of, families_of, keep
from searchlab.runner.legacy import Legacy, spool_of, take_up, tell_legacy, tell_lost_before
from searchlab.runner.listeners import Counting, Doubting, Tidying
from searchlab.runner.lock import only_one
from searchlab.runner.messages import Finish, Finished, Setup
from searchlab.runner.outcome import CHAMPION, Drawn, draw, result_of, write_report
from searchlab.runner.plugins import value_parameters
from searchlab.runner.restore import note, refuse_anew
from searchlab.runner.slots import gpu_of, placed, sharing
from searchlab.runner.stored import open_study
from searchlab.runner.supervisor import Ending, Limits, Listener, Supervisor, Wish, go_on
from searchlab.runner.tracked import PATIENCE, open_session
from searchlab.runner.watch import Opening, Watcher
from searchlab.search import figures, leases
from searchlab.search.study import Study
from searchlab.space import Pick
from searchlab.spec import StudySpec
from searchlab.tracking import Session
from searchlab.training.quiet import load_quietly

log = logging.getLogger(__name__)

CHAMPION_PATIENCE = 600.0
"""Seconds that a child has for making the best model."""


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


@dataclass(frozen=True)
class Joined:
    """What a worker came to."""

    trials: int
    """Trained here."""
    left: int
    """Trials of the study that nobody has asked for."""
    ending: Ending
    pause_reason: str | None


def run(
    spec: StudySpec, home: Home, watcher: Watcher, *, fork_of: str | None = None, wish: Callable[[], Wish] = go_on
) -> Outcome:
    """Run `spec` until its budget is spent, its time is up or someone asks to stop.

    A study of the same name that was begun before goes on where it stopped.  A new one learns from the trials of the
    stored study `fork_of`.  `wish` is asked all the time what somebody else wants (`Supervisor.wish`).

    Raises:
        SpecError: Faults of the study file, all together.
        DataError: The data cannot be read, split or learned from.
        StudyConflict: The stored study of this name differs in more than its budget.
        ServiceError: The storage cannot be reached.
    """
    checked = check(spec)
    folder = home.study(spec.name).folder
    home.make()
    choice = choice_of(spec, home)
    with only_one(folder, spec.name), _children(spec, home, choice) as children:
        lab = assemble(spec, home, watcher, checked)
        study, legacy = _create(lab, choice, fork_of)
        for line in fork_lines(study.facts):
            watcher.stage(line)
        study.remember(trained_by=asdict(choice))
        note(study, lab.folder)
        choice.keep(folder)
        opened = open_session(spec, home, study.objective, study.facts, study.records)
        with tracked.closing(opened) as session:
            tell_legacy(study, legacy, session)
            ending, reason = _supervise(lab, study, (session,), watcher, children, choice, wish)
            return _conclude(lab, study, ending, reason, session, watcher, children)


def join(
    spec: StudySpec, home: Home, watcher: Watcher, *, wish: Callable[[], Wish] = go_on, waits_for_others: bool = True
) -> Joined:
    """Train trials of the stored study that `spec` was read from, beside whoever else does, until none is left.

    Prepared data that the home has under the study's digest are taken as they are, whether their source is here or
    not: a helper needs no test rows.  `wish` and `waits_for_others` are the supervisor's.  The study's end (report,
    model, the end of its run in MLflow) is left to the `run` that leads it.

    Raises:
        SpecError, DataError, ServiceError: As `run`.
        StudyConflict: The study, or the data as this machine has it, differs from what is stored.
    """
    checked = check(spec)
    folder = home.study(spec.name)
    home.make()
    with closing(open_study(spec.name, home, spec.storage)) as stored:
        facts = stored.facts
    engine = str(facts.get("trained_by", {}).get("engine", spec.training.engine))
    choice = choose(engine, plan=spec.training, families=families_of(spec))
    with _children(spec, home, choice, folder.logs / f"worker-{os.getpid()}") as children:
        lab = assemble(spec, home, watcher, checked, digest=str(facts["data_digest"]))
        study = _stored(lab, to_yaml(spec.resolved()), choice)
        keep(lab, to_yaml(spec.resolved()))
        note(study, folder)
        legacy = take_up(study, folder)
        opened = open_session(spec, home, study.objective, study.facts, study.records, is_led_elsewhere=True)
        with tracked.closing(opened) as session:
            tell_legacy(study, legacy, session)
            counting = Counting()
            ending, reason = _supervise(
                lab, study, (session, counting), watcher, children, choice, wish, waits_for_others=waits_for_others
            )
            return Joined(counting.trials, study.remaining(spec.search.trials), ending, reason)


@contextmanager
def _children(spec: StudySpec, home: Home, choice: Choice, logs: Path | None = None) -> Iterator[Children]:
    """Children that load Keras from now on; none is left afterwards."""
    folder = logs or home.study(spec.name).logs
    with placed(spec, folder, extra=choice.environment()) as (executor, places):
        children = Children(executor, places, folder)
        try:
            yield children
        finally:
            children.close()


def _checkpoints(lab: Lab, study: Study) -> Checkpoints | None:
    """Where trials of `study` keep what they would go on from."""
    every = lab.spec.execution.checkpoint_seconds
    if every is None:
        return None
    return Checkpoints(str(lab.folder.checkpoints), str(study.facts.get("uid", study.name)), every)


def _create(lab: Lab, choice: Choice, fork_of: str | None) -> tuple[Study, Legacy]:
    """The study, new or found again, with what later commands need in its folder; and what others have left."""
    resolved = to_yaml(lab.spec.resolved())
    refuse_anew(lab.spec.name, lab.home, lab.spec.storage)
    study = _stored(lab, resolved, choice, fork_of)
    study.remember(budget=lab.spec.search.trials, resolved=resolved)
    failpoint("study.remembered")
    keep(lab, resolved)
    failpoint("study.kept")
    return study, take_up(study, lab.folder)


def _stored(lab: Lab, resolved: str, choice: Choice, fork_of: str | None = None) -> Study:
    """The study in the storage, new or found again."""
    spec = lab.spec
    facts: dict[str, Any] = {
        **facts_of(lab, choice.backend),
        "resolved": resolved,
        "folder": str(spec.folder),
        "uid": uuid.uuid4().hex,
    }
    return Study.create(
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
        fork_of=fork_of,
    )


def _supervise(
    lab: Lab,
    study: Study,
    listeners: tuple[Listener, ...],
    watcher: Watcher,
    children: Children,
    choice: Choice,
    wish: Callable[[], Wish],
    *,
    waits_for_others: bool = True,
) -> tuple[Ending, str | None]:
    """Train until the end; nothing is started when the budget is spent already."""
    spec = lab.spec
    prunes = spec.search.pruner.name != "none"
    left = study.remaining(spec.search.trials)
    waits = prunes or spec.search.trial_timeout is not None
    children.brief(
        Setup(
            data=str(lab.prepared.folder),
            encoding=lab.encoding.to_json(),
            plan=replace(lab.plan, checkpoints=_checkpoints(lab, study)),
            engine=choice.engine,
            prunes=waits,
        )
    )
    if left == 0:
        return "done", None
    threading.Thread(target=_load_drawing, name="searchlab-load", daemon=True).start()
    count = len(children.slots)
    watcher.stage(f"starting {count} {'worker' if count == 1 else 'workers'}" if count else "waiting for workers")
    records = study.records()
    supervisor = Supervisor(
        study=study,
        pool=children,
        objective=study.objective,
        limits=Limits(
            spec.search.trials,
            spec.search.timeout,
            spec.execution.keep_weights,
            cohort=choice.together,
            lease=leases.SECONDS,
            trial_timeout=spec.search.trial_timeout,
            epochs=lab.plan.epochs,
            stall_limit=spec.execution.stall_seconds,
        ),
        prunes=waits,
        workers=len(children.slots),
        is_value=None if choice.engine == "fit" else value_parameters(spec.task),
        listeners=(*listeners, Tidying(lab.folder.checkpoints), Doubting(study.objective.metric, records)),
        watcher=watcher,
        spool=spool_of(study, lab.folder),
        gpus={slot.number: gpu for slot in children.slots if (gpu := gpu_of(slot)) is not None},
        sharing=sharing(children.slots),
        needs_gpus=spec.execution.gpus != "auto",
        waits_for_others=waits_for_others,
        wish=wish,
    )
    supervisor.remember_weights(iter(records))
    watcher.opened(_opening(lab, count, records))
    ending: Ending | None = None
    try:
        ending = supervisor.run()
    finally:
        watcher.closed()
        if ending not in ("done", "out of time"):  # what still trains must not write any more
            children.close()
        failpoint("leave.giving")
        study.give_back(trial.number for trial in supervisor.unfinished)
    return ending, supervisor.pause_reason


def _load_drawing() -> None:
    """Load what the end of the run will draw with, while the children do their work."""
    with suppress(ImportError):  # said where it is used
        figures.load()


def _opening(lab: Lab, workers: int, records: Sequence[TrialRecord]) -> Opening:
    return Opening(
        study=lab.spec.name,
        objective=lab.checked.objective,
        budget=lab.spec.search.trials,
        finished=sum(record.state in ENDED for record in records),
        epochs=lab.plan.epochs,
        workers=workers,
        description=lab.collection.description,
        timeout=lab.spec.search.timeout,
        best=best_of(records, lab.checked.objective),
    )


def _conclude(
    lab: Lab,
    study: Study,
    ending: Ending,
    reason: str | None,
    session: Session,
    watcher: Watcher,
    children: Children,
) -> Outcome:
    """Keep the champion, write the report, close the parent run."""
    session.flush(0.0)  # a store that was out of reach has until the figures are drawn to answer
    result = result_of(study, lab.home)
    tell_lost_before(result.trials, session)
    drawn: Drawn | None = None
    made: Finished | None = None
    kept: Mapping[str, bytes | str] = {}
    if ending != "interrupted":
        watcher.stage("writing the best model and the report")
        order = _order(lab, result)
        slot = children.ask(order) if order is not None else None
        drawn = draw(result, study.space)  # while a child makes the model
        made = _made(order, slot, lab, children) if order is not None else None
        failpoint("champion.made")
        if made is not None:
            assert result.best is not None
            digest = hashlib.sha256(lab.folder.champion.read_bytes()).hexdigest()
            champion = {"trial": result.best.trial.number, "sha256": digest}
            study.remember(objective_sd=made.sd, **{CHAMPION: champion})
            result = replace(result, facts=study.facts, confusion=made.confusion)
            kept = {} if made.confusion is None else classes.keep(made.confusion, lab.folder)
    report = write_report(result, study.space, lab.folder.report, drawn)
    failpoint("report.written")
    if drawn is not None:
        of_classes = {f"classes/{name}": content for name, content in kept.items()}
        session.study_finished(result, {**drawn.attachments(), **of_classes})
    if made is not None:
        session.log_model(lab.folder.champion, inputs=made.inputs, outputs=made.outputs)
    failpoint("champion.logged")
    return Outcome(
        result=result,
        ending=ending,
        pause_reason=reason,
        lines=tuple(study_lines(result, sd=result.facts.get("objective_sd"))),
        view=session.view_url(PATIENCE),
        report=report,
        champion=None if made is None else lab.folder.champion,
    )


def _order(lab: Lab, result: StudyResult) -> Finish | None:
    """What to make of the best trial; None without a complete one, or when its weights are gone."""
    best = result.best
    if best is None:
        return None
    try:
        return Finish(best.trial, str(weights_of(result, best)), str(lab.folder.champion), lab.card(best.trial.number))
    except SearchlabError as error:  # the search itself is not lost for that
        log.warning("the best model cannot be written: %s", error)
        return None


def _made(order: Finish, slot: int | None, lab: Lab, children: Children) -> Finished | None:
    """The model as the child in `slot` made it; as this process makes it where no child can."""
    made = children.answer(slot, CHAMPION_PATIENCE) if slot is not None else None
    if made is None:
        load_quietly()
        made = finish(order, lab.plan, lab.encoding, lab.splits.validation)
    if made.fault is not None:
        log.warning("the best model cannot be written: %s", made.fault)
        return None
    return made

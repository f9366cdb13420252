"""A study in the storage: ask for a trial, report its epochs, tell how it ended.

The storage is the only memory: any process that opens the study goes on where the last one stopped.  A trial keeps its
number, its parameters and its seed through all its attempts.  Why a lost trial goes back to "waiting" instead of
failing and coming back under a new number: so a study that was killed and resumed has the very trials of one that was
not, and a late result of a lost attempt is as good as that of the next while the trial waits for it.  Once another
supervisor has begun it, that one's counts: so each attempt has one writer, here and in MLflow.
"""

from __future__ import annotations

import bisect
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import _get_single_value
from optuna.trial import FrozenTrial, TrialState

from searchlab import seeds
from searchlab.errors import ServiceError, StudyConflict, UnknownName
from searchlab.failpoints import failpoint
from searchlab.records import Cohort, Objective, State, Trial, TrialRecord, TrialResult
from searchlab.search import PRUNERS, SAMPLERS, cohorts, draws, encoding, history, leases, mirror
from searchlab.search.cohorts import Shape
from searchlab.search.definition import Definition, check_same
from searchlab.search.domains import distribution, distributions, heard, suggest, told
from searchlab.search.intake import Intake
from searchlab.search.storage import exists, no_experimental_warnings, open_storage, unreachable
from searchlab.space import Parameter, Params, Pick, Space, Value

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""A trial that was lost so often, and came no further meanwhile, is given up: it may be what kills its supervisor."""

TOLD_AS_BAD = ("diverged", "infeasible", "memory")
"""Causes of failure that lie in the parameters.

Told as failures, which Optuna's samplers ignore, 19.5 of 60 TPE trials went to a region where none succeeds (random
draws: 11); told as the violation of a constraint, 4.5.
"""

STATES: Mapping[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class Study:
    """One study of a storage, for one supervisor (or any number of readers)."""

    def __init__(self, url: str, name: str, study: optuna.Study, definition: Definition) -> None:
        self.url = url
        self.name = name
        self.definition = definition
        self._study = study = mirror.mirrored(study)
        mirror.looked_at(study, Intake(definition.space, epochs=definition.epochs))
        self._storage = study._storage
        self._live: dict[int, optuna.trial.Trial] = {}
        self._finished: dict[int, TrialRecord] = {}
        self._digests: dict[str, list[int]] = {}
        self._digested: set[int] = set()
        self._all_digested_below = 0
        self._survived: dict[int, int] = {}
        self._shapes: dict[int, Shape] = {}
        self._held: Mapping[str, Value] = {}
        self._given_up: set[int] = set()
        self._is_in_doubt = False
        """Whether trials may have been claimed without our hearing of it."""
        self._make_sampler = _sampler_maker(definition)
        origin = definition.facts.get("forked_from", {}).get("study")
        points = study.user_attrs.get("history", ()) if origin is not None else ()
        self._past = history.past(points, definition.space, study=str(origin))
        self._drawn_before = max((point["trial"] + 1 for point in points), default=0)
        self._cohorts = getattr(SAMPLERS.get(definition.sampler.name), "cohorts", "none")  # a sampler of others
        study.sampler = draws.ByNumber(self._sampler_of)
        pruner = PRUNERS.get(self.pruner.name)
        with no_experimental_warnings():
            study.pruner = pruner.make(pruner.Options(**self.pruner.options), epochs=self.epochs)
        self._prunes = not isinstance(study.pruner, optuna.pruners.NopPruner)

    @classmethod
    def create(
        cls,
        url: str,
        name: str,
        *,
        space: Space,
        objective: Objective,
        sampler: Pick,
        pruner: Pick,
        epochs: int,
        seed: int,
        facts: Mapping[str, Any],
        first_guesses: Sequence[Params] = (),
        fork_of: str | None = None,
    ) -> Study:
        """The study `name`, made when it is new, opened when it is there and the same: that is how a study resumes.

        `facts` are JSON values; those named in `definition.IDENTITY` are part of what must be the same.  A study that
        is there keeps its own facts and first guesses.  With `fork_of`, samplers that learn are told the trials of that
        study beforehand, as far as they fit.

        Raises:
            StudyConflict: `name` is stored with another space, objective, …; the message lists the differences.  Or it
                is no fork of `fork_of`, or the trials of that do not compare with its own.
            UnknownName: There is no study `fork_of`.
            SpecError: The sampler cannot search this space.
            MissingExtra: The sampler's library is not installed.
            ServiceError: The storage cannot be reached.
        """
        asked = Definition(space, objective, sampler, pruner, epochs, seed, dict(facts), tuple(first_guesses))
        _sampler_maker(asked)(1)  # refuse before anything is stored
        points: Sequence[Mapping[str, Any]] = ()
        if fork_of is not None and not cls._is_defined(url, name):
            with closing(cls.open(url, fork_of)) as old:
                found = history.gather(fork_of, old.definition, old.records(), asked)
            asked, points = replace(asked, facts={**asked.facts, "forked_from": found.fact}), found.points
        with _opened(url) as storage, no_experimental_warnings():
            try:
                study = optuna.create_study(study_name=name, storage=storage, direction=objective.direction)
            except optuna.exceptions.DuplicatedStudyError:
                study = optuna.load_study(study_name=name, storage=storage)
            failpoint("study.named")
            if _is_undefined(study) and study.direction.name.lower() == objective.direction:
                if points:
                    study.set_user_attr("history", points)
                mirror.define(study, asked.to_json())
            failpoint("study.defined")
            stored = _stored_definition(study, name)
            origin = stored.facts.get("forked_from", {}).get("study")
            if fork_of not in (None, origin):
                raise StudyConflict(
                    f"a study named {name!r} is stored, and it is no fork of {fork_of!r}; give the fork another name"
                )
            check_same(name, stored, asked)
            return cls(url, name, study, stored)

    @classmethod
    def open(cls, url: str, name: str) -> Study:
        """The stored study `name`; space, objective and facts come from the storage.

        Raises:
            UnknownName: There is no such study; the message lists those there are.
            StudyConflict: It was not made by searchlab, or by a later version.
            ServiceError: The storage cannot be reached.
        """
        if not exists(url):
            raise UnknownName.among((), kind="stored study", name=name)
        with _opened(url) as storage, no_experimental_warnings():
            try:
                study = optuna.load_study(study_name=name, storage=storage)
            except KeyError:
                known = [one.study_name for one in storage.get_all_studies()]
                raise UnknownName.among(known, kind="stored study", name=name) from None
            return cls(url, name, study, _stored_definition(study, name))

    @classmethod
    def restore(cls, url: str, name: str, attributes: Mapping[str, Any]) -> Study:
        """The study `name` with the `attributes` that it had, made where the storage has it no more; without trials.

        Raises:
            StudyConflict: Another study of that name is stored.
            ServiceError: The storage cannot be reached.
        """
        definition = Definition.from_json(attributes["definition"])
        with _opened(url) as storage, no_experimental_warnings():
            try:
                study = optuna.create_study(study_name=name, storage=storage, direction=definition.objective.direction)
            except optuna.exceptions.DuplicatedStudyError:
                study = optuna.load_study(study_name=name, storage=storage)
            if _is_undefined(study):
                for key, value in attributes.items():
                    if key != "definition":
                        study.set_user_attr(key, value)
                failpoint("restore.named")
                mirror.define(study, attributes["definition"])
            stored = _stored_definition(study, name)
            if stored.facts.get("uid") != definition.facts.get("uid"):
                raise StudyConflict(
                    f"another study named {name!r} is stored, which was begun after the one to restore was; delete it "
                    "or keep it, but both cannot bear the name"
                )
            return cls(url, name, study, stored)

    @classmethod
    def names(cls, url: str) -> tuple[str, ...]:
        """The studies of the storage in the order of their creation; none where there is no storage yet."""
        if not exists(url):
            return ()
        with _opened(url) as storage:
            names = tuple(study.study_name for study in storage.get_all_studies())
        mirror.disconnect(storage)
        return names

    @classmethod
    def _is_defined(cls, url: str, name: str) -> bool:
        """Whether there is such a study, and it is said what it is: its maker may have been killed in between."""
        if name not in cls.names(url):
            return False
        with _opened(url) as storage:
            defined = not _is_undefined(optuna.load_study(study_name=name, storage=storage))
        mirror.disconnect(storage)
        return defined

    def close(self) -> None:
        """Leave the storage's connections; the study can be asked all the same, and connects again."""
        mirror.disconnect(self._storage)

    @property
    def space(self) -> Space:
        """What varies."""
        return self.definition.space

    @property
    def objective(self) -> Objective:
        """What is improved."""
        return self.definition.objective

    @property
    def sampler(self) -> Pick:
        """What chooses the next configuration."""
        return self.definition.sampler

    @property
    def pruner(self) -> Pick:
        """What stops trials early."""
        return self.definition.pruner

    @property
    def epochs(self) -> int:
        """The most epochs that a trial trains."""
        return self.definition.epochs

    @property
    def seed(self) -> int:
        """All randomness of the study comes from here."""
        return self.definition.seed

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was known when the study was made, and what was added by `remember`."""
        with _answering(self.url):
            return {**self.definition.facts, **self._study.user_attrs.get("remembered", {})}

    def attributes(self) -> dict[str, Any]:
        """All that the storage keeps of the study beside its trials, as JSON values: what `restore` makes it from."""
        with _answering(self.url):
            return dict(self._study.user_attrs)

    def remember(self, **facts: Any) -> None:
        """Add facts (JSON values) that were not known when the study was made, or replace earlier ones."""
        with _answering(self.url):
            self._study.set_user_attr("remembered", {**self._study.user_attrs.get("remembered", {}), **facts})

    # One trial ---------------------------------------------------------------------------------------------------

    def work_as(self, owner: str, *, seconds: float = leases.SECONDS) -> None:
        """Be the supervisor `owner`: what is claimed from now on is leased to it, for `seconds` at a time.

        Raises:
            StudyConflict: The storage is a SQLite file, and another machine works on it.
        """
        with _answering(self.url):
            mirror.lease(self._study, owner, seconds)

    def ask(self) -> Trial:
        """Claim the next trial: one that waits for another attempt, else a new one (the first guesses come first)."""
        (trial,) = self.ask_next().trials
        return trial

    def ask_next(self, budget: int | None = None) -> Cohort:
        """`ask`, as a cohort of one; empty when others have asked for all trials of the `budget`."""
        with suppress(mirror.BudgetSpent), self._asking(budget):
            return Cohort((self._begun(self._study.ask()),))
        return Cohort(())

    def ask_cohort(
        self,
        most: int,
        *,
        left: int,
        is_value: Callable[[str], bool],
        budget: int | None = None,
        prefer: Sequence[Shape] = (),
        avoid: Collection[Shape] = (),
    ) -> Cohort:
        """Claim up to `most` trials that differ in nothing but the parameters that are values (`cohorts` says how).

        `left` is how many may still be asked for altogether.  Shapes in `prefer` come first, those in `avoid` last,
        where the sampler leaves a choice.  Waiting trials come before new ones.  Empty when another process was quicker
        with all that waited, or with the last trials of the `budget`.
        """
        trials: list[Trial] = []
        with suppress(mirror.BudgetSpent), self._asking(budget):
            if self._cohorts == "any order":
                self._draw_ahead(left, budget)
            waiting = {trial.number: trial for trial in self._trials_that_wait()}
            shapes = {number: self._shape(trial, is_value) for number, trial in waiting.items()}
            numbers = cohorts.next_cohort(shapes, min(most, left), prefer=prefer, avoid=avoid)
            if numbers:
                claimed = mirror.claim(self._study, [waiting[number]._trial_id for number in numbers])
                return Cohort(tuple(self._begun(optuna.trial.Trial(self._study, i)) for i in claimed))
            trials.append(self._begun(self._study.ask()))
            shape = {name: value for name, value in trials[0].params.values.items() if not is_value(name)}
            more = self._cohort_size(min(most, left)) - 1
            for _ in range(more):
                trials.append(self._begun(self._ask_for(shape)))
        return Cohort(tuple(trials))

    def retry_alone(self, trial_numbers: Iterable[int]) -> None:
        """Have running trials, whose child died over their cohort, wait for another attempt in a cohort of one."""
        with self._one_transaction():
            for number in trial_numbers:
                frozen = self._storage.get_trial(self._live_trial(number)._trial_id)
                if frozen.state == TrialState.RUNNING:  # or it was asked for before
                    self._storage.set_trial_user_attr(frozen._trial_id, "alone", True)
                    self._wait_again(frozen)

    def retry(self, trial_number: int, attempts: int = MAX_ATTEMPTS) -> bool:
        """Have a running trial whose child died wait for another attempt, alone; False, and nothing, after so many.

        Losses are counted in the storage, those together with a supervisor among them; see `mirror.losses`.
        """
        with self._one_transaction():
            frozen = self._storage.get_trial(self._live_trial(trial_number)._trial_id)
            if frozen.state != TrialState.RUNNING or not mirror.is_ours(self._study, frozen._trial_id):
                return True  # it was asked for before, or others look after it
            epochs = frozen.last_step or 0
            losses = mirror.losses(frozen.user_attrs, epochs)
            if losses >= attempts:
                return False
            for key, value in (("losses", losses), ("lost_after", epochs), ("alone", True)):
                self._storage.set_trial_user_attr(frozen._trial_id, key, value)
            self._wait_again(frozen)
        return True

    def report(self, trial_number: int, epoch: int, value: float) -> bool:
        """Store the objective after `epoch`; whether the trial shall be pruned now.

        A value that is not finite is not stored and stops the trial.  The last epoch prunes nothing, and neither does
        an epoch that an earlier attempt has passed.
        """
        return trial_number in self.judge([(trial_number, epoch, value)])

    def judge(self, points: Sequence[tuple[int, int, float]]) -> frozenset[int]:
        """Store the objective of several trials, each as (number, epoch, value); the numbers of those to prune now.

        As if they had been reported one after another in this order, but that all see each other's values.  Where
        nothing is pruned, values may reach the storage a second later, with others.
        """
        stop = {number for number, _, value in points if not math.isfinite(value)}
        news = [p for p in points if p[0] not in stop and p[1] > self._survived.get(p[0], 0)]
        stop |= {p[0] for p in news if self._has_ended(p[0])}  # by another attempt, when this one was taken for lost
        news = [p for p in news if p[0] not in stop]
        with self._one_transaction(patient=not self._prunes):
            for number, epoch, value in news:
                live = self._live_trial(number)
                if epoch not in self._storage.get_trial(live._trial_id).intermediate_values:  # of a failed attempt
                    live.report(value, epoch)
            if self._prunes:
                asked = [n for n, epoch, _ in news if epoch < self.epochs]
                stop |= {n for n in asked if self._live_trial(n).should_prune()}
        return frozenset(stop | {p[0] for p in news if self._has_ended(p[0])})

    def tell(self, result: TrialResult) -> bool:
        """Store how a trial ended, unless it had ended before or another supervisor works on it; what is stored now.

        False when that is not `result`.
        """
        state, value, result = self._verdict(result)
        with self._one_transaction():
            live = self._live_trial(result.trial)
            if self._storage.get_trial(live._trial_id).state == TrialState.WAITING:  # it was taken for lost
                mirror.claim(self._study, [live._trial_id])
            if result.state == "failed" and result.cause in TOLD_AS_BAD:
                live.set_constraint(f"searchlab:{result.cause}", 1.0)
            live.set_user_attr("result", encoding.result_to_json(result))
            self._study.tell(live, value, state=state, skip_if_finished=True)
        self._live.pop(result.trial, None)
        self._survived.pop(result.trial, None)
        frozen = self._frozen(result.trial)
        return (
            frozen is not None
            and frozen.state.is_finished()
            and frozen.user_attrs.get("result") == encoding.result_to_json(result)
        )

    def _verdict(self, result: TrialResult) -> tuple[TrialState, float | None, TrialResult]:
        """How Optuna is told: its state, the value where there is one, and the result as it is stored.

        Samplers do not see what has the state FAIL, so a failure by its parameters is PRUNED, with a constraint that it
        violates.
        """
        if result.state == "pruned":
            return TrialState.PRUNED, None, result
        if result.state == "complete" and result.value is not None and math.isfinite(result.value):
            return TrialState.COMPLETE, result.value, result
        reason = result.reason
        if result.state == "complete":
            reason = f"{self.objective.metric} is {'missing' if result.value is None else result.value}"
            result = replace(result, cause="error" if result.value is None else "diverged")
        content = encoding.result_to_json(result) | {"state": "failed", "value": None, "reason": reason or "failed"}
        state = TrialState.PRUNED if result.cause in TOLD_AS_BAD else TrialState.FAIL
        return state, None, encoding.result_from_json(content)

    # All trials --------------------------------------------------------------------------------------------------

    def records(self) -> tuple[TrialRecord, ...]:
        """All trials that were ever handed out, by number, as the storage knows them now."""
        return tuple(self._record(frozen) for frozen in self._trials(anew=True) if not _is_ahead(frozen))

    def record(self, trial_number: int) -> TrialRecord:
        """One trial as the storage knows it now."""
        frozen = self._frozen(trial_number)
        if frozen is None or not frozen.state.is_finished():
            with _answering(self.url):
                mirror.refresh(self._study)
            frozen = self._frozen(trial_number)
        assert frozen is not None, f"no trial {trial_number}"
        return self._record(frozen)

    def remaining(self, budget: int) -> int:
        """How many trials may still be asked for: those that have ended or are running count, however they ended."""
        with _answering(self.url):
            mirror.refresh(self._study)
            trials = self._storage.get_n_trials(self._study._study_id)
            waiting = self._storage.get_n_trials(self._study._study_id, TrialState.WAITING)
        return int(max(0, budget - (trials - waiting)))

    def running(self) -> int:
        """How many trials run now, here or elsewhere."""
        with _answering(self.url):
            return int(self._storage.get_n_trials(self._study._study_id, TrialState.RUNNING))

    def renew(self) -> None:
        """Say that this supervisor is alive, so that its running trials are not taken for lost."""
        with _answering(self.url):
            for number in mirror.renew(self._study):
                log.warning("trial %d was taken for lost, since this supervisor was silent for too long", number)

    def reap(self) -> tuple[int, ...]:
        """Have every running trial whose supervisor is gone wait for another attempt; the numbers of those lost.

        A trial that was lost in MAX_ATTEMPTS attempts without an epoch more is failed.  Any supervisor may do this at
        any time; its own leases are renewed first.
        """
        self.renew()
        with _answering(self.url):
            waiting, over = mirror.reap(self._study, MAX_ATTEMPTS)
        for number in (*waiting, *over):
            self._live.pop(number, None)
        self._given_up.update(over)
        for number in sorted(self._given_up):
            reason = f"lost in {MAX_ATTEMPTS} attempts that came no further: each time its supervisor died"
            self.tell(TrialResult(number, "failed", None, reason=reason))
            self._given_up.discard(number)
        return (*waiting, *over)

    def stored(self) -> Mapping[int, tuple[Params, bool]]:
        """Every trial by number, those too that were never handed out: its parameters, and whether it has ended.

        A trial that has not chosen its parameters yet has none.
        """
        return {
            frozen.number: (_trial(frozen).params, frozen.state.is_finished()) for frozen in self._trials(anew=True)
        }

    def replant(self, trials: Mapping[int, Trial]) -> int:
        """Have trials that the storage has lost wait again with what they were, and any below them that it has lost.

        How many that were.

        Raises:
            StudyConflict: One is missing between others, whose place cannot be taken any more.
        """
        stored = self.stored()
        there = len(stored)
        if any(number not in stored for number in range(there)):
            raise StudyConflict(
                f"trials were deleted from the middle of the study {self.name!r}, and numbers cannot be given twice. "
                "Delete the whole study from the storage;  searchlab restore  then makes it from what is kept here"
            )
        templates = [self._template(trials.get(number)) for number in range(there, max(trials, default=-1) + 1)]
        with _answering(self.url):
            if templates and not mirror.enqueue(self._study, templates, first=there):
                raise StudyConflict(f"another process works on the study {self.name!r}; stop it first")
        return len(templates)

    def _template(self, trial: Trial | None) -> FrozenTrial:
        """The trial as it waits to be claimed; without one, that which will choose its parameters when it is."""
        if trial is None:
            return optuna.trial.create_trial(state=TrialState.WAITING)
        known = distributions(self.space, trial.params)
        attempt = {} if trial.attempt == 1 else {"attempt": trial.attempt}
        return optuna.trial.create_trial(
            state=TrialState.WAITING,
            params={name: told(self.space[name].domain, trial.params.values[name]) for name in known},
            distributions=known,
            user_attrs={"trial": encoding.trial_to_json(trial), **attempt},
        )

    def give_back(self, trial_numbers: Iterable[int]) -> None:
        """Have running trials of this supervisor, which leaves, wait for another attempt; no loss is counted."""
        self.renew()  # what was taken from us is not ours to give
        with self._one_transaction():
            for number in trial_numbers:
                frozen = self._storage.get_trial(self._live_trial(number)._trial_id)
                if frozen.state == TrialState.RUNNING and mirror.is_ours(self._study, frozen._trial_id):
                    self._wait_again(frozen)

    # ---------------------------------------------------------------------------------------------------------------

    def _begun(self, live: optuna.trial.Trial) -> Trial:
        """The trial that was claimed, its parameters chosen now unless an earlier attempt or a plan chose them."""
        self._live[live.number] = live
        frozen = self._storage.get_trial(live._trial_id)
        if "trial" in frozen.user_attrs:
            self._survived[live.number] = frozen.last_step or 0
            return _trial(frozen)
        params = self.space.resolve(lambda parameter: suggest(live, parameter.name, parameter.domain))
        trial = replace(self._trial_of(live.number, params), attempt=_attempt(frozen))
        live.set_user_attr("trial", encoding.trial_to_json(trial))
        return trial

    def _trial_of(self, number: int, params: Params) -> Trial:
        seed = seeds.derive(self.seed, "trial", number)
        return Trial(number, params, seed, replicate=self._replicate(number, params))

    def _ask_for(self, shape: Mapping[str, Value]) -> optuna.trial.Trial:
        """A new trial that will choose these values for the parameters of its shape."""
        self._held = shape
        try:
            return self._study.ask()
        finally:
            self._held = {}

    def _sampler_of(self, number: int) -> optuna.samplers.BaseSampler:
        guesses = [guess.values for guess in self.definition.first_guesses]
        make = self._make_sampler
        if self._past and self._cohorts != "any order":  # or it would draw once more what it drew for the old study
            make = self._make_later
        sampler = draws.sampler_of(number, space=self.space, first_guesses=guesses, make=make)
        if self._past:
            sampler = history.Informed(sampler, self._past)
        return draws.Held(sampler, self.space, self._held) if self._held else sampler

    def _make_later(self, index: int) -> optuna.samplers.BaseSampler:
        return self._make_sampler(index + self._drawn_before)

    def _cohort_size(self, most: int) -> int:
        """How many new trials of one shape may be drawn now; a first guess has a shape of its own."""
        if self._cohorts != "same shape" or self._number_of_trials() < len(self.definition.first_guesses):
            return 1
        finished = self._storage.get_n_trials(self._study._study_id, (TrialState.COMPLETE, TrialState.PRUNED))
        return cohorts.size(finished, most)

    def _draw_ahead(self, left: int, budget: int | None) -> None:
        """Have the next draws wait, enough of them to be sorted by shape; no more than are `left` to be asked for.

        Nor any beyond the `budget`: what was left when it was looked at, others may have claimed since.
        """
        is_stored = False
        while not is_stored:
            waiting, first = len(self._trials_that_wait()), self._number_of_trials()
            missing = min(left, cohorts.AHEAD) - waiting
            if budget is not None:
                missing = min(missing, budget - first)
            if missing <= 0 or waiting > cohorts.AHEAD // 2:
                return
            trials = [self._drawn(number) for number in range(first, first + missing)]
            is_stored = mirror.enqueue(self._study, trials, first=first)
            if not is_stored:  # another process has taken a number
                mirror.refresh(self._study)
                self._digests, self._digested, self._all_digested_below = {}, set(), 0

    def _drawn(self, number: int) -> FrozenTrial:
        """The trial that will have this number, waiting; its parameters are those that `ask` would choose."""
        sampler = self._sampler_of(number)
        blank = optuna.trial.create_trial(state=TrialState.WAITING)

        def choose(parameter: Parameter) -> Value:
            known = distribution(parameter.domain)
            if known.single():
                return heard(parameter.domain, _get_single_value(known))
            return heard(parameter.domain, sampler.sample_independent(self._study, blank, parameter.name, known))

        return self._template(self._trial_of(number, self.space.resolve(choose)))

    def _trials_that_wait(self) -> list[FrozenTrial]:
        waiting: list[FrozenTrial] = self._storage.get_all_trials(
            self._study._study_id, deepcopy=False, states=(TrialState.WAITING,)
        )
        return waiting

    def _number_of_trials(self) -> int:
        return int(self._storage.get_n_trials(self._study._study_id))

    def _shape(self, frozen: FrozenTrial, is_value: Callable[[str], bool]) -> Shape | None:
        """None for a trial that must be trained alone, or has not chosen its parameters yet."""
        if "trial" not in frozen.user_attrs or "alone" in frozen.user_attrs:
            return None
        if frozen.number not in self._shapes:
            self._shapes[frozen.number] = _trial(frozen).params.shape_key(is_value)
        return self._shapes[frozen.number]

    def _wait_again(self, frozen: FrozenTrial) -> None:
        self._storage.set_trial_user_attr(frozen._trial_id, "attempt", _attempt(frozen) + 1)
        self._storage.set_trial_state_values(frozen._trial_id, TrialState.WAITING)
        self._live.pop(frozen.number, None)

    def _replicate(self, number: int, params: Params) -> int:
        """How many trials before `number` have these parameters."""
        for frozen in self._trials()[self._all_digested_below :]:
            if frozen.number not in self._digested and "trial" in frozen.user_attrs:
                self._digest(frozen.number, _trial(frozen).params)
        same = self._digest(number, params)
        while self._all_digested_below in self._digested:
            self._digested.remove(self._all_digested_below)
            self._all_digested_below += 1
        return bisect.bisect_left(same, number)

    def _digest(self, number: int, params: Params) -> list[int]:
        """Note what the trial's parameters are; the numbers of all that have the same."""
        same = self._digests.setdefault(params.digest(), [])
        if number >= self._all_digested_below and number not in self._digested:
            self._digested.add(number)
            bisect.insort(same, number)
        return same

    def _trials(self, *, anew: bool = False) -> list[FrozenTrial]:
        with _answering(self.url):
            if anew:
                mirror.refresh(self._study)
            return self._study.get_trials(deepcopy=False)  # type: ignore[no-any-return]

    def _frozen(self, number: int) -> FrozenTrial | None:
        with _answering(self.url):
            try:
                trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
            except KeyError:
                return None
            return self._storage.get_trial(trial_id)

    def _has_ended(self, number: int) -> bool:
        frozen = self._frozen(number)
        return frozen is not None and frozen.state.is_finished()

    @contextmanager
    def _asking(self, budget: int | None) -> Iterator[None]:
        """While inside, trials are claimed, none beyond `budget`.

        When that fails, nobody is given a trial, and what was claimed all the same waits again before the next claim.
        """
        before = dict(self._live)
        try:
            with self._one_transaction(), no_experimental_warnings(), mirror.within(self._study, budget):
                if self._is_in_doubt:
                    mirror.settle(self._study, before)
                    self._is_in_doubt = False
                mirror.refresh(self._study)
                yield
        except ServiceError:
            self._live, self._is_in_doubt = before, True
            raise

    @contextmanager
    def _one_transaction(self, *, patient: bool = False) -> Iterator[None]:
        """While inside, writes are gathered; nothing is written of a trial that another process has ended."""
        with _answering(self.url):
            try:
                with mirror.together(self._study, patient=patient):
                    yield
            except optuna.exceptions.UpdateFinishedTrialError as error:
                log.info("not stored: %s", error)

    def _live_trial(self, number: int) -> optuna.trial.Trial:
        if number not in self._live:
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
            self._live[number] = optuna.trial.Trial(self._study, trial_id)
        return self._live[number]

    def _record(self, frozen: FrozenTrial) -> TrialRecord:
        if frozen.number in self._finished:
            return self._finished[frozen.number]
        stored = frozen.user_attrs.get("result") if frozen.state.is_finished() else None
        result = encoding.result_from_json(stored) if stored else None
        record = TrialRecord(
            trial=_trial(frozen),
            state=result.state if result else STATES[frozen.state],
            value=result.value if result else None,
            result=result,
            curve=dict(sorted(frozen.intermediate_values.items())),
            started=frozen.datetime_start.timestamp() if frozen.datetime_start else None,
            finished=frozen.datetime_complete.timestamp() if frozen.datetime_complete else None,
        )
        if frozen.state.is_finished():
            self._finished[frozen.number] = record
        return record


def _sampler_maker(definition: Definition) -> Callable[[int], optuna.samplers.BaseSampler]:
    plugin = SAMPLERS.get(definition.sampler.name)
    options = plugin.Options(**definition.sampler.options)

    def make(index: int) -> optuna.samplers.BaseSampler:
        with no_experimental_warnings():
            return plugin.make(options, definition.space, seed=definition.seed, number=index)

    return make


def _is_ahead(frozen: FrozenTrial) -> bool:
    """Whether the trial was drawn ahead and never handed out."""
    return frozen.state == TrialState.WAITING and frozen.datetime_start is None and "attempt" not in frozen.user_attrs


def _attempt(frozen: FrozenTrial) -> int:
    return int(frozen.user_attrs.get("attempt", 1))


def _trial(frozen: FrozenTrial) -> Trial:
    """The trial; without parameters when its claimer has not chosen them yet."""
    content = frozen.user_attrs.get("trial") or {"params": {}, "seed": 0, "replicate": 0}
    return encoding.trial_from_json(content, number=frozen.number, attempt=_attempt(frozen))


def _is_undefined(study: optuna.Study) -> bool:
    """Whether the study is new, or its maker was killed before it could say what it is."""
    return "definition" not in study.user_attrs and not study._storage.get_n_trials(study._study_id)


def _stored_definition(study: optuna.Study, name: str) -> Definition:
    for _ in range(50):  # its maker stores it right after the study itself
        content = study.user_attrs.get("definition")
        if content is not None:
            return _definition(content, name)
        time.sleep(0.1)
    raise StudyConflict(f"the study {name!r} of this storage was not made by searchlab; give yours another name")


def _definition(content: Any, name: str) -> Definition:
    try:
        return Definition.from_json(content)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        fault = f"{type(error).__name__}: {error}"[:200]
        raise StudyConflict(f"what the study {name!r} is cannot be read from the storage ({fault})") from None


@contextmanager
def _opened(url: str) -> Iterator[optuna.storages.BaseStorage]:
    """The storage at `url`; its connections are left when what is done with it fails."""
    storage = open_storage(url)
    try:
        with _answering(url):
            yield storage
    except BaseException:
        mirror.disconnect(storage)
        raise


@contextmanager
def _answering(url: str) -> Iterator[None]:
    """Turn the errors of a storage that stopped answering into ours."""
    try:
        yield
    except optuna.exceptions.StorageInternalError as failure:
        raise unreachable(url, failure) from failure

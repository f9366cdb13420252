"""What the sampler of a forked study knows beforehand: the trials of the study that it was forked from.

They are kept beside the definition, not among the trials.  Why: so they have no numbers, count against no budget, and
can never be taken for results of this study; samplers that learn are shown them before the study's own.  A trial is of
use where the new space has exactly its parameters and holds all their values.  Pruners do not see them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from searchlab.errors import StudyConflict
from searchlab.records import TrialRecord
from searchlab.search.definition import Definition, differences
from searchlab.search.domains import distributions, told
from searchlab.space import Parameter, Params, Space, Value
from searchlab.space.measure import holds

COMPARABLE = ("task:", "data_digest:", "objective:")
"""Where these differ, the values of one study say nothing about the other."""

BEFORE = -1
"""The number of every trial of the past.  Not one each: what Optuna takes for the next number begins at -1."""


@dataclass(frozen=True)
class History:
    """Trials of another study, as JSON values, and why others of it are left out."""

    study: str
    points: tuple[Mapping[str, Any], ...]
    left_out: Mapping[str, int]

    @property
    def fact(self) -> dict[str, Any]:
        """What the study's readers should know."""
        return {"study": self.study, "trials": len(self.points), "left_out": dict(self.left_out)}


def gather(name: str, stored: Definition, records: Iterable[TrialRecord], asked: Definition) -> History:
    """What the study that is `asked` for can learn from `records`, the trials of the study `name`.

    Raises:
        StudyConflict: Nothing, since their values do not compare; the message says why.
    """
    reasons = [line for line in differences(stored, asked) if line.startswith(COMPARABLE)]
    if reasons:
        raise StudyConflict(
            f"the trials of {name!r} say nothing about the study asked for, since their values do not compare "
            "(stored | here):\n"
            + "\n".join(f"  {line}" for line in reasons)
            + "\nBegin without a history: --set study=NAME"
        )
    points: list[Mapping[str, Any]] = []
    left_out: Counter[str] = Counter()
    for record in records:
        fault = _fault(record, asked.space)
        if fault is None:
            points.append(_point(record))
        else:
            left_out[fault] += 1
    return History(name, tuple(points), left_out)


def past(points: Sequence[Mapping[str, Any]], space: Space, *, study: str) -> tuple[FrozenTrial, ...]:
    """The trials as samplers take them, the earliest first."""
    return tuple(_frozen(point, space, study) for point in points)


class Informed(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Another sampler, which sees the trials of the past before those of the study."""

    def __init__(self, sampler: optuna.samplers.BaseSampler, trials: Sequence[FrozenTrial]) -> None:
        self._sampler = sampler
        self._trials = trials

    def before_trial(self, study: Any, trial: Any) -> None:
        """As that sampler does."""
        self._sampler.before_trial(_Longer(study, self._trials), trial)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """As that sampler says."""
        space: dict[str, Any] = self._sampler.infer_relative_search_space(_Longer(study, self._trials), trial)
        return space

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """As that sampler says."""
        values: dict[str, Any] = self._sampler.sample_relative(_Longer(study, self._trials), trial, search_space)
        return values

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """As that sampler says."""
        longer = _Longer(study, self._trials)
        return self._sampler.sample_independent(longer, trial, param_name, param_distribution)


class _Longer:
    """A study that seems to have the trials of the past too."""

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        self._of = study
        self._past = trials

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.get_trials()

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        before = [trial for trial in self._past if states is None or trial.state in states]
        return [*before, *self._of._get_trials(deepcopy=deepcopy, states=states, use_cache=use_cache)]


def _fault(record: TrialRecord, space: Space) -> str | None:
    """Why a trial is of no use; None when it is of use."""
    if record.state not in ("complete", "pruned"):
        return f"{record.state}"
    if record.state == "pruned" and not record.curve:
        return "pruned before its first value"
    given, missing = record.trial.params.values, object()

    def choose(parameter: Parameter) -> Value:
        return given.get(parameter.name, missing)  # type: ignore[arg-type]

    expected = space.resolve(choose).values
    for name in expected:
        if name not in given:
            return f"{name} is new"
        if not holds(space[name].domain, given[name]):
            return f"{name} lies outside of what it may be now"
    gone = [name for name in given if name not in expected]
    return f"{gone[0]} is no more" if gone else None


def _point(record: TrialRecord) -> dict[str, Any]:
    point: dict[str, Any] = {"trial": record.trial.number, "params": dict(record.trial.params.values)}
    if record.state == "complete":
        return {**point, "value": record.value}
    return {**point, "pruned": max(record.curve.items())}


def _frozen(point: Mapping[str, Any], space: Space, study: str) -> FrozenTrial:
    params = Params(point["params"])
    known = distributions(space, params)
    epoch, value = point.get("pruned", (None, None))
    trial = optuna.trial.create_trial(
        state=TrialState.COMPLETE if epoch is None else TrialState.PRUNED,
        value=point.get("value"),
        params={name: told(space[name].domain, params.values[name]) for name in known},
        distributions=known,
        intermediate_values={} if epoch is None else {epoch: value},
        user_attrs={"forked_from": {"study": study, "trial": point["trial"]}},
    )
    trial.number = BEFORE
    return trial

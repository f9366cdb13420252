"""The trials of a study as an Optuna study in memory, for what Optuna can say about finished studies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import optuna
from optuna.trial import FrozenTrial, TrialState

from searchlab.records import Objective, State, TrialRecord
from searchlab.search.domains import distribution, told
from searchlab.space import Choice, Domain, Space, label

STATES: dict[State, TrialState] = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def replica(
    space: Space,
    objective: Objective,
    records: Sequence[TrialRecord],
    *,
    names: Callable[[str], str] = str,
    pruned_count: bool = False,
) -> optuna.Study:
    """A study of those trials that were started, whose parameters are called what `names` says.

    With `pruned_count`, pruned trials are complete ones with the last value that they reached.
    """
    study = optuna.create_study(direction=objective.direction)
    for record in records:
        frozen = _frozen(space, record, names, pruned_count)
        if frozen is not None:
            study.add_trial(frozen)
    return study


def short_names(space: Space) -> dict[str, str]:
    """Each parameter's label; its whole name where another branch uses the label for something of another kind."""
    kinds: dict[str, set[bool]] = {}
    for parameter in space.varied:
        kinds.setdefault(label(parameter.name), set()).add(isinstance(parameter.domain, Choice))
    return {
        parameter.name: label(parameter.name) if len(kinds[label(parameter.name)]) == 1 else parameter.name
        for parameter in space.varied
    }


def _frozen(space: Space, record: TrialRecord, names: Callable[[str], str], pruned_count: bool) -> FrozenTrial | None:
    if record.state not in STATES or not record.trial.params.values or record.started is None:
        return None
    state, value = STATES[record.state], record.value if record.state == "complete" else None
    if pruned_count and record.state == "pruned" and record.curve:
        state, value = TrialState.COMPLETE, record.curve[max(record.curve)]
    domains: dict[str, Domain] = {p.name: p.domain for p in space.varied if p.name in record.trial.params.values}
    frozen = FrozenTrial(
        number=record.trial.number,
        state=state,
        value=value,
        datetime_start=datetime.fromtimestamp(record.started),
        datetime_complete=datetime.fromtimestamp(record.finished) if record.finished and state.is_finished() else None,
        params={names(name): told(domain, record.trial.params.values[name]) for name, domain in domains.items()},
        distributions={names(name): distribution(domain) for name, domain in domains.items()},
        user_attrs={},
        system_attrs={},
        intermediate_values=dict(record.curve),
        trial_id=record.trial.number,
    )
    return frozen

"""Which sampler draws which trial: a fresh one for each number, so that nothing but the storage has a memory.

Why: a seeded sampler object replays its first draws in a resumed process, and none of Optuna's keeps its random state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna

from searchlab.search.domains import told
from searchlab.space import Space, Value


class Planned(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Gives the values that were planned for this one trial; what the plan lacks is drawn at random."""

    def __init__(self, space: Space, plan: Mapping[str, Value], *, seed: int) -> None:
        self._plan = {name: told(space[name].domain, value) for name, value in plan.items()}
        self._random = optuna.samplers.RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """Nothing: each value is asked for by itself."""
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """Nothing: each value is asked for by itself."""
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """The planned value."""
        if param_name in self._plan:
            return self._plan[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)


class Held(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Another sampler, some of whose parameters are given.

    Why not Optuna's `PartialFixedSampler`: TPE that groups conditional parameters draws the given ones all the same.
    """

    def __init__(self, sampler: optuna.samplers.BaseSampler, space: Space, given: Mapping[str, Value]) -> None:
        varied = {parameter.name: parameter.domain for parameter in space.varied}
        self._given = {name: told(varied[name], value) for name, value in given.items() if name in varied}
        self._sampler = sampler

    def before_trial(self, study: Any, trial: Any) -> None:
        """As that sampler does."""
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """What that sampler says, less what is given."""
        return self._free(self._sampler.infer_relative_search_space(study, trial))

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """What that sampler says, less what is given."""
        return self._free(self._sampler.sample_relative(study, trial, search_space))

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """The given value, else what that sampler says."""
        if param_name in self._given:
            return self._given[param_name]
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def _free(self, content: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in content.items() if name not in self._given}


class ByNumber(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Hands each trial to a sampler made for its number."""

    def __init__(self, make: Callable[[int], optuna.samplers.BaseSampler]) -> None:
        self._make = make
        self._sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=0)

    def before_trial(self, study: Any, trial: Any) -> None:
        """Make the sampler of this trial."""
        self._sampler = self._make(trial.number)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """As that sampler says."""
        space: dict[str, Any] = self._sampler.infer_relative_search_space(study, trial)
        return space

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """As that sampler says."""
        values: dict[str, Any] = self._sampler.sample_relative(study, trial, search_space)
        return values

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """As that sampler says."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


def sampler_of(
    number: int,
    *,
    space: Space,
    first_guesses: Sequence[Mapping[str, Value]],
    make: Callable[[int], optuna.samplers.BaseSampler],
) -> optuna.samplers.BaseSampler:
    """The sampler of trial `number`: the first guesses in their order, then `make(0)`, `make(1)` and so on."""
    if number < len(first_guesses):
        return Planned(space, first_guesses[number], seed=number)
    return make(number - len(first_guesses))

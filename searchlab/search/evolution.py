"""CMA-ES without a memory of its own: each generation is replayed from the trials that the storage has.

Why not Optuna's sampler: it keeps its optimizer as a pickle in the storage and runs `pickle.loads` on whatever stands
there, and it draws choices and conditional parameters at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.trial import TrialState

from searchlab.lazy import lazy
from searchlab.search.domains import at, told
from searchlab.space import Space

if TYPE_CHECKING:
    import cmaes  # type: ignore[import-untyped]
else:
    cmaes = lazy("cmaes")

KEY = "evolution"
"""System attribute of each trial: its generation and its point in the unit cube."""


class Evolution(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Draws one point of the current generation; the draw depends on `draw` and the finished trials alone."""

    def __init__(self, space: Space, *, sigma: float, draw: int, random: int) -> None:
        self._space = space
        self._sigma = sigma
        self._draw = draw
        self._random = optuna.samplers.RandomSampler(seed=random)
        self._plan: dict[str, Any] = {}

    def before_trial(self, study: Any, trial: Any) -> None:
        """Plan the trial and note where it stands."""
        varied = self._space.varied
        if len(varied) < 2 or KEY in trial.system_attrs:  # one dimension: nothing to adapt, draw at random
            return
        strategy = cmaes.CMA(
            mean=np.full(len(varied), 0.5),
            sigma=self._sigma,
            bounds=np.tile([0.0, 1.0], (len(varied), 1)),
            seed=self._draw,
            n_max_resampling=10 * len(varied),
        )
        for generation in self._generations(study, strategy.population_size):
            strategy.tell(generation)
        point = [float(unit) for unit in np.clip(strategy.ask(), 0.0, np.nextafter(1.0, 0.0))]
        study._storage.set_trial_system_attr(trial._trial_id, KEY, [strategy.generation, point])
        for parameter, unit in zip(varied, point, strict=True):
            self._plan[parameter.name] = told(parameter.domain, at(parameter.domain, unit))

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

    @staticmethod
    def _generations(study: Any, population: int) -> list[list[tuple[Any, float]]]:
        """The full generations so far: their points and losses (lower is better), earliest trials first.

        Pruned trials take part with their last value, as worse than what was not pruned.
        """
        sign = -1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1.0
        done = [
            t
            for t in study.get_trials(deepcopy=False)
            if KEY in t.system_attrs and t.state in (TrialState.COMPLETE, TrialState.PRUNED) and t.value is not None
        ]
        found: list[list[tuple[Any, float]]] = []
        while True:
            members = [t for t in done if t.system_attrs[KEY][0] == len(found)][:population]
            if len(members) < population:
                return found
            worst = max((sign * t.value for t in members if t.state == TrialState.COMPLETE), default=0.0)
            found.append(
                [
                    (
                        np.asarray(t.system_attrs[KEY][1]),
                        sign * t.value if t.state == TrialState.COMPLETE else max(worst, sign * t.value),
                    )
                    for t in members
                ]
            )

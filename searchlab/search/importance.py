"""Which parameters decided whether a trial was among the best (PED-ANOVA, Watanabe et al. 2023, arXiv:2304.10255).

Optuna's evaluator knows conditional parameters.  Pruned trials count with the last value they reached: what was stopped
was not among the best, and a study that prunes well has few complete trials.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence

import optuna

from searchlab.lazy import absent
from searchlab.records import Objective, TrialRecord
from searchlab.search.replica import replica
from searchlab.search.storage import no_experimental_warnings
from searchlab.space import Space

FEWEST = 10
"""Below so many trials with a value, importances are noise."""


def load() -> None:
    """Load Optuna's importances, without scikit-learn where this process is ours: only fANOVA uses it."""
    with absent("sklearn"):
        importlib.import_module("optuna.importance")


def importances(space: Space, objective: Objective, records: Sequence[TrialRecord]) -> Mapping[str, float]:
    """Shares, by parameter, that sum to 1, largest first; empty when there are too few trials to say anything."""
    varied = {parameter.name for parameter in space.varied}
    with no_experimental_warnings():
        study = replica(space, objective, records, pruned_count=True)
        trials = [t for t in study.get_trials(deepcopy=False) if t.state == optuna.trial.TrialState.COMPLETE]
        if len(trials) < FEWEST or not varied or len({trial.value for trial in trials}) == 1:
            return {}
        load()
        # At least five trials among the best, as the method's authors advise.
        share = min(0.5, max(0.1, 5 / len(trials)))
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(target_quantile=share)
        )
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))

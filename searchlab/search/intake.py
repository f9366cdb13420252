"""What the storage says of a trial, as far as searchlab writes such things; the rest is left out.

Whoever has the workers' password can write to the tables: Optuna's own `enqueue_trial`, a dashboard, or a stranger.
What comes from there chooses parameters, names files and is shown to people.  So each trial is looked at when it is
read, and not where it is used: configurations lie in the space, numbers are finite, results have the types that they
should have, weights are called as ours are.  A waiting trial that loses its configuration here draws anew when it is
claimed, under its number and from its seed: it is then the trial that it would have been, and the budget is as it was.
"""

from __future__ import annotations

import copy
import logging
import math
import re
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePath
from typing import Any, get_args

import optuna
from optuna.trial import FrozenTrial, TrialState

from searchlab.plain import printable
from searchlab.records import ENDED, Cause, TrialResult
from searchlab.search import encoding
from searchlab.search.domains import distribution, heard, told
from searchlab.search.evolution import KEY as GENERATION
from searchlab.space import Params, Space
from searchlab.space.measure import contains, holds

MOST_BYTES = 4 << 20
"""Of one attribute of a trial; larger ones are not read.  A traceback and a model's summary are 100 KB at most."""

MOST_TIMES = 1_000_000
"""What may be counted of a trial."""

WEIGHTS = re.compile(r"trial-(\d{4,})\.weights\.npz")
"""What files of weights are called: they are opened, and removed when others are better."""

log = logging.getLogger(__name__)


def count_of(value: Any, default: int) -> int:
    """`value` where it is a count, else `default`."""
    return value if type(value) is int and 0 <= value <= MOST_TIMES else default


class Intake:
    """Looks at the trials of one study."""

    def __init__(self, space: Space, *, epochs: int) -> None:
        self._space = space
        self._epochs = epochs

    @cached_property
    def _known(self) -> Mapping[str, optuna.distributions.BaseDistribution]:
        return {parameter.name: distribution(parameter.domain) for parameter in self._space.varied}

    def __call__(self, trial: FrozenTrial) -> FrozenTrial:
        """`trial` without what is not ours; what was left out is logged."""
        seen = copy.copy(trial)
        faults: list[str] = []
        seen.user_attrs = self._user_attrs(trial, faults)
        seen.system_attrs = self._system_attrs(trial, faults)
        seen.params, seen.distributions = self._params(trial, seen.user_attrs.get("trial"), faults)
        curve = trial.intermediate_values
        seen.intermediate_values = {n: v for n, v in curve.items() if 0 <= n <= self._epochs and _is_finite(v)}
        if len(seen.intermediate_values) < len(curve):
            faults.append("values of epochs")
        if trial.state is TrialState.COMPLETE and not (len(trial.values or ()) == 1 and _is_finite(trial.values[0])):
            seen.state, seen.values = TrialState.FAIL, None
            faults.append("its value")
        if faults:
            what = printable(", ".join(faults))[:300]
            log.warning("trial %s in the storage is not as searchlab writes it; left out: %s", trial.number, what)
        return seen

    def _user_attrs(self, trial: FrozenTrial, faults: list[str]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in trial.user_attrs.items():
            if key == "trial":
                is_ours = self._is_trial(value)
            elif key == "result":
                is_ours = is_result(value, trial.number)
            elif key in ("attempt", "losses", "lost_after"):
                is_ours = count_of(value, -1) >= 0
            else:
                is_ours = key == "alone"
                if not is_ours:
                    continue  # somebody's note, which nobody reads
            if is_ours:
                kept[key] = value
            else:
                faults.append(f"its {key}")
        return kept

    def _system_attrs(self, trial: FrozenTrial, faults: list[str]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in trial.system_attrs.items():
            if key == "fixed_params":
                if isinstance(value, dict) and all(self._may_be(name, one) for name, one in value.items()):
                    kept[key] = value
                else:  # all of them, so that it is the trial that it would have been
                    faults.append("values that were asked for")
            elif self._is_generation(value) if key == GENERATION else _is_finite(value):
                kept[key] = value
            else:
                faults.append(f"its {key[:40]}")
        return kept

    def _params(
        self, trial: FrozenTrial, content: Any, faults: list[str]
    ) -> tuple[dict[str, Any], dict[str, optuna.distributions.BaseDistribution]]:
        """The parameters as Optuna has them: those of our own configuration, where there is one."""
        if content is not None:
            names = [name for name in self._known if name in content["params"]]
            params = {name: told(self._space[name].domain, content["params"][name]) for name in names}
        else:
            found = trial.distributions
            names = [n for n in trial.params if n in self._known and found.get(n) == self._known[n]]
            params = {name: trial.params[name] for name in names if self._may_be(name, trial.params[name])}
            if len(params) < len(trial.params):
                faults.append("parameters")
        return params, {name: self._known[name] for name in params}

    def _may_be(self, name: Any, answer: Any) -> bool:
        """Whether Optuna may be told that the parameter `name` is `answer`."""
        if name not in self._known:
            return False
        domain = self._space[name].domain
        if not isinstance(self._known[name], optuna.distributions.CategoricalDistribution):
            return _is_finite(answer) and holds(domain, answer)
        try:
            return holds(domain, heard(domain, answer))
        except StopIteration:
            return False

    def _is_generation(self, value: Any) -> bool:
        """Whether `value` is the place of a trial in an evolution: its generation, and a point of the unit cube."""
        if not isinstance(value, list) or len(value) != 2 or count_of(value[0], -1) < 0:
            return False
        point = value[1]
        return (
            isinstance(point, list)
            and len(point) == len(self._known)
            and all(_is_finite(unit) and 0 <= unit <= 1 for unit in point)
        )

    def _is_trial(self, content: Any) -> bool:
        if not isinstance(content, dict) or content.keys() != {"params", "seed", "replicate"}:
            return False
        params, seed, replicate = content["params"], content["seed"], content["replicate"]
        if type(seed) is not int or not 0 <= seed < 1 << 64 or count_of(replicate, -1) < 0:
            return False
        if not isinstance(params, dict) or not all(_is_plain(value) for value in params.values()):
            return False
        return contains(self._space, Params(params))


def is_result(content: Any, number: int) -> bool:
    """Whether `content` is what `encoding.result_to_json` makes of a result of the trial with that number."""
    try:
        result = encoding.result_from_json(content)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        return False
    return result.trial == number and result.state in ENDED and _is_typed(result) and _is_of(result, number)


def _is_typed(result: TrialResult) -> bool:
    texts = (result.reason, result.detail, result.weights, result.summary, result.engine)
    counts = (result.best_epoch, result.parameter_count, result.resumed_from)
    gpu = result.gpu
    return (
        all(text is None or isinstance(text, str) for text in texts)
        and all(count is None or (type(count) is int and count >= 0) for count in counts)
        and type(result.epochs) is int
        and result.epochs >= 0
        and _is_finite(result.seconds)
        and all(isinstance(name, str) for name in result.metrics)
        and (result.cause is None or result.cause in get_args(Cause))
        and (
            gpu is None
            or (
                isinstance(gpu.name, str)
                and all(one is None or _is_finite(one) for one in (gpu.utilization, gpu.memory, gpu.energy))
            )
        )
    )


def _is_of(result: TrialResult, number: int) -> bool:
    """Whether its value and its weights are a trial's own."""
    if result.state == "complete" and (result.value is None or not math.isfinite(result.value)):
        return False
    if result.weights is None:
        return True
    name = WEIGHTS.fullmatch(PurePath(result.weights).name)
    return name is not None and int(name[1]) == number and ".." not in PurePath(result.weights).parts


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or _is_finite(value)


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # neither NaN nor infinite, nor a whole number of more digits

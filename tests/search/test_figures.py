"""Importances and pictures of studies of every size."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import pytest

from searchlab import seeds
from searchlab.records import Objective, State, StudyResult, Trial, TrialRecord, TrialResult
from searchlab.search.figures import figures, pictures
from searchlab.search.importance import importances
from searchlab.search.replica import replica, short_names
from searchlab.space import Choice, Condition, Fixed, Float, Int, Parameter, Space
from searchlab.space.measure import sample

SPACE = Space(
    (
        Parameter("model", Choice(("cnn", "mlp"))),
        Parameter("model.cnn.depth", Int(1, 4), Condition("model", ("cnn",))),
        Parameter("model.cnn.dropout", Float(0.0, 0.5), Condition("model", ("cnn",))),
        Parameter("model.mlp.dropout", Float(0.0, 0.9), Condition("model", ("mlp",))),
        Parameter("model.mlp.width", Choice((16, 32)), Condition("model", ("mlp",))),
        Parameter("optimizer.adam.learning_rate", Float(1e-5, 1e-1, log=True)),
        Parameter("training.batch_size", Choice((32, 64, None, True))),
        Parameter("training.clip_norm", Fixed(1.0)),
    )
)


def record(number: int, state: State) -> TrialRecord:
    params = sample(SPACE, seeds.stream(0, number))
    rate = params.values["optimizer.adam.learning_rate"]
    assert isinstance(rate, float)
    value = 0.9 - 0.1 * abs(math.log10(rate) + 3) - 0.001 * number / 100
    epochs = {"complete": 6, "pruned": 2}.get(state, 0)
    curve = {epoch: value * epoch / (epoch + 1) for epoch in range(1, epochs + 1)}
    best = curve[epochs] if epochs else None
    return TrialRecord(
        Trial(number, params, seed=number),
        state,
        value=best,
        result=TrialResult(number, state, best, epochs=epochs),
        curve=curve,
        started=1.7e9 + 10 * number,
        finished=None if state == "running" else 1.7e9 + 10 * number + 5,
    )


def study(states: list[State]) -> StudyResult:
    trials = tuple(record(number, state) for number, state in enumerate(states))
    return StudyResult("digits", Objective("val_accuracy", "maximize"), trials, len(trials), 0, 300)


MANY: list[State] = ["complete", "pruned", "complete", "failed", "running"] * 12
SIZES: dict[str, list[State]] = {
    "none": [],
    "one": ["complete"],
    "few": ["complete", "pruned", "failed"],
    "only pruned": ["pruned"] * 12,
    "only failed": ["failed"] * 3,
    "many": MANY,
}


class TestImportances:
    def test_find_what_matters(self) -> None:
        result = study(MANY)
        shares = importances(SPACE, result.objective, result.trials)
        assert next(iter(shares)) == "optimizer.adam.learning_rate"
        assert sum(shares.values()) == pytest.approx(1.0)
        assert set(shares) == {parameter.name for parameter in SPACE.varied}

    @pytest.mark.parametrize("states", [[], ["complete"] * 9, ["failed"] * 20])
    def test_say_nothing_of_too_few_trials(self, states: list[State]) -> None:
        result = study(states)
        assert importances(SPACE, result.objective, result.trials) == {}

    def test_say_nothing_of_equal_trials(self) -> None:
        result = study(["complete"] * 20)
        equal = [replace(record, value=0.5) for record in result.trials]
        assert importances(SPACE, result.objective, equal) == {}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("states", SIZES.values(), ids=SIZES)
def test_interactive_figures_of_every_study(states: list[State]) -> None:
    found = figures(study(states), SPACE)
    assert all(figure.data for figure in found.values())
    if len(states) == len(MANY):
        names = "history parallel_coordinate importances slice intermediate_values timeline"
        assert set(names.split()) <= set(found)
        labels = found["parallel_coordinate"].layout.xaxis.ticktext
        assert "model.dropout" in labels and not [label for label in labels if "cnn." in label]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("states", SIZES.values(), ids=SIZES)
def test_png_pictures_of_every_study(states: list[State]) -> None:
    found = pictures(study(states), SPACE)
    for picture in found.values():
        assert picture.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", picture[16:24])
        assert 500 < width < 2500 and 300 < height < 700
    if len(states) == len(MANY):
        assert set(found) == {"history", "parallel_coordinate", "importances", "slice", "intermediate_values"}


def test_drawing_leaves_the_callers_matplotlib_alone() -> None:
    backend, colour = matplotlib.get_backend(), matplotlib.rcParams["axes.facecolor"]
    pictures(study(MANY), SPACE)
    assert matplotlib.get_backend() == backend
    assert matplotlib.rcParams["axes.facecolor"] == colour
    assert plt.get_fignums() == []


def test_labels_stay_long_where_branches_mean_different_things() -> None:
    clash = Space(
        (
            *SPACE.parameters,
            Parameter("model.rnn.dropout", Choice(("low", "high")), Condition("model", ("rnn",))),
        )
    )
    short = short_names(clash)
    assert short["model.mlp.dropout"] == "model.mlp.dropout"
    assert short["optimizer.adam.learning_rate"] == "optimizer.learning_rate"


def test_a_replica_has_the_trials_that_started() -> None:
    result = study(["complete", "waiting", "failed"])
    assert len(replica(SPACE, result.objective, result.trials).trials) == 2

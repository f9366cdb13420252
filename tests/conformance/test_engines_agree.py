"""Every compiled engine gives the numbers of `fit`: families × tasks × options × optimizers × schedules.

A sample runs with all tests; `make test-engines` (SEARCHLAB_ENGINES=all) runs every case.
"""

import itertools
import os
import sys
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from made_up import collection_of, is_classification

from searchlab.data import SearchSplits
from searchlab.models import FAMILIES, Staged
from searchlab.optim import OPTIMIZERS, SCHEDULES
from searchlab.tasks import TASKS

sys.path.append(str(Path(__file__).parents[1] / "training"))

import tiny_problem as tiny
from test_every_family import corners

COMPILED = tiny.runnable("fused", "population")
ALL = os.environ.get("SEARCHLAB_ENGINES") == "all"
SAMPLED = 1 if keras.backend.backend() == "jax" else 2
"""Cases of each family and kind of input in the sample."""


DENSE = ("mlp", "head")
"""Families that a population takes on TensorFlow; it leaves the others to `fused`."""


def takes(engine, family):
    """Whether `engine` trains such networks itself, on this process's backend."""
    return engine != "population" or keras.backend.backend() == "jax" or family in DENSE


def _cases():
    """(task, kind, family, options, optimizer, schedule), each optimizer with each schedule somewhere."""
    pairs = itertools.cycle(itertools.product(OPTIMIZERS.names(), SCHEDULES.names()))
    for task in TASKS.names():
        for kind in TASKS.get(task).accepts:
            for name in FAMILIES.names():
                family = FAMILIES.get(name)
                problem = problem_of(task, kind)[0].problem
                if problem.kind not in family.accepts or isinstance(family, Staged):  # those are left to fit
                    continue
                found = [one for one in corners(name) if family.infeasible(problem, one) is None]
                draws = np.random.default_rng(len(found)).permutation(len(found))
                chosen = found if ALL else [found[i] for i in draws[:SAMPLED]]
                for options in chosen:
                    yield (task, kind, name, options, *next(pairs))


@cache
def problem_of(task, kind):
    """A fitted encoding, and 30 examples to learn from beside 10 to judge by."""
    collection = collection_of(task, kind)
    parts = SearchSplits(collection.examples.take(np.arange(30)), collection.examples.take(np.arange(30, 40)))
    encoding = TASKS.get(task).fit(collection, parts.train)
    return encoding, SearchSplits(encoding.encode(parts.train), encoding.encode(parts.validation))


def trial_of(task, family, options, optimizer, schedule, *, number=0, seed=5, **changes):
    """Dropout, penalties, clipping, smoothing, focus and weights at work; batches of 16, 14 in the last."""
    fields = {name: getattr(options, name) for name in type(options).model_fields}
    values = {f"model.{family}.{name}": value for name, value in fields.items() if not isinstance(value, list)}
    values |= {f"model.{family}.dropout": 0.3, f"model.{family}.l2": 1e-3, "model": family}
    values |= {"optimizer": optimizer, "schedule": schedule, "training.batch_size": 16, "training.clip_norm": 0.5}
    if "recurrent_l2" in fields:
        values[f"model.{family}.recurrent_l2"] = 1e-2
    if is_classification(task):
        values["task.label_smoothing"] = 0.1
        values["task.focal_gamma"] = (0.0, 1.5)[len(schedule) % 2]
        values["task.class_weight"] = ("none", "balanced")[len(optimizer) % 2]
    values |= {name.replace("__", "."): value for name, value in changes.items()}
    return tiny.trial_with(values, number=number, seed=seed)


EXPECTED = {}


def by_fit(name, *trials, **where):
    """The epochs that `fit` tells of these trials, trained once for all engines that are held against it."""
    if name not in EXPECTED:
        EXPECTED[name], _ = tiny.train("fit", *trials, **where)
    return EXPECTED[name]


def assert_equal(told, expected):
    """Metric by metric, epoch by epoch."""
    assert len(told) == len(expected)
    for one, other in zip(told, expected, strict=True):
        assert one.metrics == pytest.approx(other.metrics, rel=1e-5, abs=1e-6), f"epoch {one.epoch}"


@pytest.mark.parametrize(
    ("engine", "task", "kind", "family", "options", "optimizer", "schedule"),
    [
        pytest.param(engine, *case, id=f"{i}-{'-'.join((*case[:3], *case[4:]))}-{engine}")
        for i, case in enumerate(_cases())
        for engine in COMPILED
        if takes(engine, case[2]) and (engine == COMPILED[0] or ALL or i % 3 == 0)
    ],
)
def test_the_numbers_of_fit(engine, task, kind, family, options, optimizer, schedule):
    objective = tiny.ACCURACY if is_classification(task) else tiny.LOSS
    plan = tiny.plan(task=task, objective=objective, epochs=3)
    one = trial_of(task, family, options, optimizer, schedule)
    name = (task, kind, family, repr(options), optimizer, schedule)
    expected = by_fit(name, one, under=plan, on=problem_of(task, kind))
    told, results = tiny.train(engine, one, under=plan, on=problem_of(task, kind))
    assert (results[0].state, results[0].engine) == ("complete", engine), results[0].detail
    assert_equal(told[0], expected[0])


@pytest.mark.parametrize("engine", COMPILED)
def test_values_that_vary_change_the_result_as_constants_do(engine):
    """One program, five trials that differ in every kind of value, none of which may leak into the next."""
    family = FAMILIES.get("mlp")
    case = ("image_classification", "mlp", family.Options(width=8, batch_norm=True))
    trials = [
        trial_of(*case, "adam", "constant", number=0, model__mlp__dropout=0.0, model__mlp__l2=0.0),
        trial_of(*case, "sgd", "cosine", number=1, optimizer__sgd__momentum=0.9, optimizer__sgd__nesterov=True),
        trial_of(*case, "adamw", "plateau", number=2, training__clip_norm=None, optimizer__adamw__beta_2=0.9),
        trial_of(*case, "rmsprop", "step", number=3, seed=9, task__label_smoothing=0.0, optimizer__rmsprop__rho=0.5),
        trial_of(*case, "adam", "constant", number=4, model__mlp__dropout=0.0, model__mlp__l2=0.0),
    ]
    data = problem_of("image_classification", "images")
    told, _ = tiny.train(engine, *trials, on=data)
    expected = by_fit("values that vary", *trials, on=data)
    for number in range(5):
        assert_equal(told[number], expected[number])
    assert tiny.numbers(told[0]) == tiny.numbers(told[4])


@pytest.mark.parametrize("engine", COMPILED if ALL else tiny.runnable("fused"))
def test_focus_is_a_number_of_the_program_and_none_is_no_part_of_it(engine):
    """Gammas 0.5 and 2 share a program, none has another, and balanced accuracy can be searched for."""
    from searchlab.records import Objective
    from searchlab.training.program.template import shape_of
    from searchlab.training.recipe import Recipe

    gammas = {0: 0.5, 1: 0.0, 2: 2.0}
    trials = [tiny.trial(number, task__focal_gamma=gamma) for number, gamma in gammas.items()]
    plan = tiny.plan(objective=Objective("val_balanced_accuracy", "maximize"))
    keys = [shape_of(Recipe.of(one, plan, tiny.problem()[0])) for one in trials]
    assert keys[0] == keys[2] != keys[1]
    told, results = tiny.train(engine, *trials, under=plan)
    expected = by_fit("focus", *trials, under=plan)
    for number in gammas:
        assert results[number].engine == engine
        assert results[number].value == max(epoch.metrics["val_balanced_accuracy"] for epoch in told[number])
        assert_equal(told[number], expected[number])


@pytest.mark.parametrize("engine", COMPILED)
def test_data_that_is_sent_in_pieces_gives_the_same_numbers(engine, monkeypatch):
    from searchlab.training.program import feed

    family = FAMILIES.get("mlp")
    one = trial_of("image_classification", "mlp", family.Options(width=8, batch_norm=True), "adam", "cosine")
    encoding, parts = problem_of("image_classification", "images")
    whole, _ = tiny.train(engine, one, on=(encoding, parts))
    monkeypatch.setattr(feed, "RESIDENT", 0)
    monkeypatch.setattr(feed, "PIECE", 1)
    pieces, _ = tiny.train(engine, one, on=(encoding, SearchSplits(parts.train, parts.validation)))
    assert_equal(pieces[0], whole[0])

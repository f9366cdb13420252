"""What the search itself costs a trial: milliseconds to ask, to report an epoch and to tell, early and late in a study.

    python benchmarks/ask_tell.py [--finished 10 1000 10000] [--samplers random tpe] [--pruners none …] [--profile]

Studies live in the embedded store (SQLite), in the space of a small convolutional network with a choice of optimizers.
A study is filled with finished trials up to the mark, and then measured over the next ones: medians, in milliseconds
(of processor time with `--cpu`, for machines that others use too).
`open` is the time another process needs to read the study and its records.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import json
import pstats
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime

import optuna
import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState

from searchlab.records import Objective, Trial, TrialResult
from searchlab.search import encoding
from searchlab.search.domains import at, distribution, told
from searchlab.search.study import Study
from searchlab.space import Choice, Condition, Fixed, Float, Int, Parameter, Pick, Space

EPOCHS = 10
MEASURED = 30
ADAM, SGD = Condition("optimizer", ("adam",)), Condition("optimizer", ("sgd",))
SPACE = Space(
    (
        Parameter("model", Fixed("cnn")),
        Parameter("model.cnn.depth", Int(1, 4)),
        Parameter("model.cnn.width", Choice((16, 32, 64, 128))),
        Parameter("model.cnn.batch_norm", Choice((True, False))),
        Parameter("model.cnn.dropout", Float(0.0, 0.6)),
        Parameter("model.cnn.l2", Float(1e-7, 1e-2, log=True)),
        Parameter("optimizer", Choice(("adam", "sgd"))),
        Parameter("optimizer.adam.learning_rate", Float(1e-4, 1e-1, log=True), ADAM),
        Parameter("optimizer.sgd.learning_rate", Float(1e-3, 1.0, log=True), SGD),
        Parameter("optimizer.sgd.momentum", Float(0.0, 0.99), SGD),
        Parameter("training.batch_size", Choice((32, 64, 128))),
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finished", type=int, nargs="+", default=[10, 1000, 10_000])
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--pruners", nargs="+", default=["none", "successive_halving"])
    parser.add_argument("--cpu", action="store_true", help="processor time in place of time")
    parser.add_argument("--profile", action="store_true", help="show where the time of the measured trials goes")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu else time.perf_counter
    print("| sampler | pruner | finished | ask | report | tell | a trial of 10 epochs | open |")
    print("|---|---|---|---|---|---|---|---|")
    for sampler, pruner in itertools.product(arguments.samplers, arguments.pruners):
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/studies.db"
            done = 0
            for mark in arguments.finished:
                fill(url, sampler, pruner, done, mark)
                row = measured(url, clock, profile=arguments.profile)
                done = mark + MEASURED + 1
                print(f"| {sampler} | {pruner} | {mark:,} |" + "".join(f" {cell:.2f} |" for cell in row), flush=True)


def create(url: str, sampler: str, pruner: str) -> Study:
    return Study.create(
        url,
        "a study",
        space=SPACE,
        objective=Objective("val_accuracy", "maximize"),
        sampler=Pick(sampler, {}),
        pruner=Pick(pruner, {}),
        epochs=EPOCHS,
        seed=0,
        facts={},
    )


def fill(url: str, sampler: str, pruner: str, first: int, last: int) -> None:
    """Finished trials number `first` to `last` - 1, written straight into Optuna's tables."""
    create(url, sampler, pruner)
    rows: dict[type, list[dict[str, object]]] = {}
    domains = {p.name: p.domain for p in SPACE.varied}
    draws = random.Random(first)
    for number in range(first, last):
        key = {"trial_id": number + 1}  # the only study of its file
        params = SPACE.resolve(lambda parameter: at(parameter.domain, draws.random()))
        score = draws.random()
        result = TrialResult(
            number, "complete", score, EPOCHS, EPOCHS, metrics={"val_accuracy": score, "val_loss": 1.0}
        )
        moment = datetime.now()
        trial = {**key, "study_id": 1, "number": number, "state": TrialState.COMPLETE}
        rows.setdefault(models.TrialModel, []).append(
            {**trial, "_datetime_start_utc": moment, "_datetime_complete_utc": moment}
        )
        for name, domain in domains.items():
            if name in params.values:
                known = distribution(domain)
                text = optuna.distributions.distribution_to_json(known)
                unit = known.to_internal_repr(told(domain, params.values[name]))
                row = {**key, "param_name": name, "param_value": unit, "distribution_json": text}
                rows.setdefault(models.TrialParamModel, []).append(row)
        told_values = {
            "trial": encoding.trial_to_json(Trial(number, params, number)),
            "result": encoding.result_to_json(result),
        }
        for name, content in told_values.items():
            row = {**key, "key": name, "value_json": json.dumps(content)}
            rows.setdefault(models.TrialUserAttributeModel, []).append(row)
        for rung in range(3):
            row = {**key, "key": f"completed_rung_{rung}", "value_json": json.dumps(draws.random())}
            rows.setdefault(models.TrialSystemAttributeModel, []).append(row)
        finite = models.TrialValueModel.TrialValueType.FINITE
        rows.setdefault(models.TrialValueModel, []).append(
            {**key, "objective": 0, "value": score, "value_type": finite}
        )
        kind = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
        rows.setdefault(models.TrialIntermediateValueModel, []).extend(
            {**key, "step": step, "intermediate_value": score, "intermediate_value_type": kind}
            for step in range(1, EPOCHS + 1)
        )
    with sqlalchemy.orm.Session(sqlalchemy.create_engine(url)) as session:
        for model, content in rows.items():
            session.execute(sqlalchemy.insert(model), content)
        session.commit()


def measured(url: str, clock: Callable[[], float], *, profile: bool) -> list[float]:
    """Milliseconds to ask, report and tell (medians), of a whole trial, and to open the study and read its records."""
    started = clock()
    study = Study.open(url, "a study")
    study.records()
    opening = clock() - started
    one_trial(study, clock)  # the first one fills caches
    spent: list[tuple[float, float, float]] = []
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    for _ in range(MEASURED):
        spent.append(one_trial(study, clock))
    profiler.disable()
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(35)
    ask, report, tell = (1000 * statistics.median(column) for column in zip(*spent, strict=True))
    return [ask, report, tell, ask + EPOCHS * report + tell, 1000 * opening]


def one_trial(study: Study, clock: Callable[[], float]) -> tuple[float, float, float]:
    """Seconds to ask, to report an epoch and to tell, as a supervisor does it."""
    marks = [clock()]
    study.remaining(10**6)
    trial = study.ask()
    marks.append(clock())
    for epoch in range(1, EPOCHS + 1):
        study.report(trial.number, epoch, 2.0)  # better than all others: it is judged at every rung
    marks.append(clock())
    study.tell(TrialResult(trial.number, "complete", 2.0, EPOCHS, EPOCHS, metrics={"val_accuracy": 2.0}))
    study.record(trial.number)
    marks.append(clock())
    ask, report, tell = (after - before for before, after in itertools.pairwise(marks))
    return ask, report / EPOCHS, tell


if __name__ == "__main__":
    main()

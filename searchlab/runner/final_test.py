"""The final test: freeze the candidate, write the ledger line, open the seal once, report what is there.

The one place that may name `SealedTest` (a house test says so).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from searchlab.data import Array, Examples
from searchlab.data.prepare import load_search
from searchlab.data.seal import SealedTest
from searchlab.records import TestScore
from searchlab.reports import statistics
from searchlab.reports.words import score_lines
from searchlab.runner.champion import Candidate, candidate
from searchlab.runner.home import Home
from searchlab.runner.outcome import write_report, write_score
from searchlab.runner.stored import read_study, stored_space, stored_spec
from searchlab.runner.tracked import closing, open_session
from searchlab.tasks import TASKS, Task
from searchlab.training.champion import predict

WILSON = "accuracy"
"""The metric that is a proportion."""


@dataclass(frozen=True)
class FinalTest:
    """The score, and the words for it."""

    score: TestScore
    lines: tuple[str, ...]


def final_test(
    name: str,
    home: Home,
    *,
    storage: str | None = None,
    reason: str | None = None,
    stage: Callable[[str], None] = lambda words: None,
) -> FinalTest:
    """Score the best trial of the study `name` on its sealed test examples.

    The candidate is frozen by rule (best validation, before anything is opened); `reason` opens the seal another time.

    Raises:
        AllTrialsFailed: There is no candidate.
        SealBroken: The seal was opened before and no reason is given, or the ledger was changed.
    """
    chosen = candidate(name, home, storage=storage)
    model = chosen.model()  # built before the seal is opened: what fails here must not cost the one opening
    seal = SealedTest(chosen.sealed_folder, home.study(name).ledger)
    stage(f"opening the sealed test set for trial {chosen.record.trial.number}")
    examples = seal.open(study=name, trial=chosen.record.trial.number, candidate_digest=chosen.digest(), reason=reason)
    score = _score(chosen, model, examples, openings=seal.openings())
    seal.record_score(dict(score.metrics))
    write_score(score, home.study(name).test)
    result = read_study(name, home, storage)
    write_report(result, stored_space(name, home, storage), home.study(name).report)
    spec = stored_spec(name, home, storage)
    with closing(open_session(spec, home, result.objective, result.facts, lambda: result.trials)) as session:
        session.test_scored(score)
        session.study_finished(result)  # so that the description no longer says "sealed"
    return FinalTest(score, tuple(score_lines(result, sd=result.facts.get("objective_sd"))))


def _score(chosen: Candidate, model: object, examples: Examples, *, openings: int) -> TestScore:
    task = TASKS.get(chosen.plan.task)
    encoding = chosen.encoding
    arrays = encoding.encode(examples)
    _, splits = load_search(chosen.data_folder)
    outputs = predict(model, arrays.x)
    trivial = task.baseline(encoding, encoding.encode(splits.train), arrays.x)
    rows = task.per_example(encoding, arrays.y, outputs)
    metrics = {f"test_{name}": task.combine(name, values) for name, values in rows.items()}
    intervals = {f"test_{name}": _interval(task, name, values, examples.group) for name, values in rows.items()}
    baseline = {
        f"test_{name}": task.combine(name, values)
        for name, values in task.per_example(encoding, arrays.y, trivial).items()
    }
    grouped = examples.group is not None
    return TestScore(
        trial=chosen.record.trial.number,
        metrics=metrics,
        intervals=intervals,
        interval_method=f"Wilson for {WILSON}, else percentile bootstrap{' by group' if grouped else ''}",
        examples=len(examples),
        openings=openings,
        baseline=baseline,
    )


def _interval(task: Task, metric: str, rows: Array, groups: Array | None) -> tuple[float, float]:
    """The 95 % interval of a metric: Wilson's for a proportion of independent examples, else a bootstrap."""
    if metric == WILSON and groups is None:
        return statistics.wilson(float(rows.sum()), len(rows))
    return statistics.bootstrap(rows, lambda sample: task.combine(metric, sample), groups=groups)

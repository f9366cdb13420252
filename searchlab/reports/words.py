"""What a study found, in plain sentences: for the terminal, the HTML report and the log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchlab.records import StudyResult, TestScore
from searchlab.reports import sameness, statistics

MADE_FOR_SHARES = ("accuracy",)
"""Endings of metrics that are shares of right answers."""

BALANCED = "balanced_accuracy"
"""A mean of shares of unequal numbers of answers, whose errors are not binomial."""

REASONS = 10
"""So many reasons have a line of their own."""


@dataclass(frozen=True)
class Optimism:
    """By how much the best validation score is expected to flatter, and how noisy one such score is."""

    curse: float
    noise: float
    candidates: int


def is_share(metric: str) -> bool:
    """Whether `metric` is a share of right answers."""
    return metric.endswith(MADE_FOR_SHARES)


def optimism(result: StudyResult, *, sd: float | None = None) -> Optimism | None:
    """The winner's curse over all trials with a value; None where nothing can be said.

    `sd` is the standard deviation of the objective over single validation examples; without it only shares of right
    answers can be judged.  All candidates count as equally good with independent errors: an upper guide.
    """
    best = result.best
    candidates = sum(record.value is not None and math.isfinite(record.value) for record in result.trials)
    if best is None or best.value is None or result.validation_examples < 1:
        return None
    count = result.validation_examples
    metric = result.objective.metric
    if is_share(metric) and not metric.endswith(BALANCED) and 0 <= best.value <= 1:
        guess = statistics.shrunk(best.value, count)
        curse = statistics.winners_curse(candidates, count, accuracy=guess)
        return Optimism(curse, statistics.noise_band(count, accuracy=best.value), candidates)
    if sd is not None:
        curse = statistics.winners_curse(candidates, count, sd=sd)
        return Optimism(curse, statistics.noise_band(count, sd=sd), candidates)
    return None


def study_lines(result: StudyResult, *, sd: float | None = None) -> list[str]:
    """The end of a study: how many trials, the best of them, and how far to believe it."""
    metric = result.objective.metric
    lines = [f"{_trial_count(result)}."]
    best = result.best
    if best is None or best.value is None:
        return [*lines, "No trial has a value.", *reason_lines(result)]
    epoch = f" after epoch {best.result.best_epoch}" if best.result and best.result.best_epoch else ""
    lines.append(f"Best {metric}: {score_text(metric, best.value)}, by trial {best.trial.number}{epoch}.")
    doubt = optimism(result, sd=sd)
    if doubt is not None and doubt.candidates > 1:
        word = "high" if result.objective.direction == "maximize" else "low"
        lines.append(
            f"As the best of {doubt.candidates}, it is expected to be up to {difference_text(metric, doubt.curse)} too "
            f"{word} (if all were equally good); scores within {difference_text(metric, doubt.noise)} of each other "
            f"are not told apart by {result.validation_examples:,} validation examples."
        )
    lines += [*sameness_lines(result), *fork_lines(result.facts), *_left_to_fit(result)]
    if result.test is None:
        lines.append(f"The test set is sealed. To open it once: searchlab final-test {result.name}")
    return lines


def reason_lines(result: StudyResult) -> list[str]:
    """A line for each reason for which trials failed or were pruned, with how many did so; the most frequent first."""
    reasons = Counter(record.result.reason for record in result.trials if record.result and record.result.reason)
    lines = [f"{count:5} × {reason}" for reason, count in reasons.most_common(REASONS)]
    left = sum(reasons.values()) - sum(count for _, count in reasons.most_common(REASONS))
    return [*lines, f"{left:5} × other reasons: searchlab trials {result.name} --csv FILE"] if left else lines


def sameness_lines(result: StudyResult) -> list[str]:
    """A warning when many trials differ in nothing that was measured; nothing for others."""
    found = sameness.largest(result.trials)
    return [] if found is None else [sameness.warning(result.objective.metric, found)]


def fork_lines(facts: Mapping[str, Any]) -> list[str]:
    """What a forked study had from the one before it; nothing for others."""
    origin = facts.get("forked_from")
    if origin is None:
        return []
    left_out = Counter(origin["left_out"])
    reasons = "; ".join(f"{count} × {reason}" for reason, count in left_out.most_common(5))
    others = f" {left_out.total()} do not fit: {reasons}." if left_out else ""
    return [
        f"Forked from {origin['study']!r}: {origin['trials']} of its trials inform the sampler, and none is among the "
        f"results.{others}"
    ]


def _left_to_fit(result: StudyResult) -> list[str]:
    """How many trials a faster engine had to leave to `fit`, and why."""
    engines = [record.result.engine or "" for record in result.trials if record.result]
    reasons = Counter(engine.removeprefix("fit: ") for engine in engines if engine.startswith("fit: "))
    return [f"Trained by fit, {count} of {len(engines)} trials: {reason}." for reason, count in reasons.most_common(3)]


def score_lines(result: StudyResult, *, sd: float | None = None) -> list[str]:
    """What opening the seal gave, with interval, baseline, and a warning where validation and test disagree.

    Empty while the test set is sealed.
    """
    score = result.test
    if score is None:
        return []
    lines = []
    for metric, value in score.metrics.items():
        interval = score.intervals.get(metric)
        text = f"Test {metric.removeprefix('test_')}: {score_text(metric, value)}"
        if interval is not None and all(map(math.isfinite, interval)):
            low, high = (score_text(metric, end) for end in interval)
            text += f", 95 % interval {low} to {high} ({score.interval_method})"
        if metric in score.baseline:
            text += f"; baseline {score_text(metric, score.baseline[metric])}"
        lines.append(f"{text}.")
    warning = gap_warning(result, score, sd=sd)
    lines += [warning] if warning else []
    times = "once" if score.openings == 1 else f"{score.openings} times"
    lines.append(f"Trial {score.trial} on {score.examples:,} test examples; test opened {times}.")
    if score.openings > 1:
        lines.append(
            "A test set that is opened again and again becomes a validation set: read the interval as too narrow."
        )
    return lines


def gap_warning(result: StudyResult, score: TestScore, *, sd: float | None = None) -> str | None:
    """A sentence when best validation and test differ by more than two standard errors plus the winner's curse."""
    metric = tested_metric(result, score)
    record = next((record for record in result.trials if record.trial.number == score.trial), None)
    if metric is None or metric not in score.intervals or record is None or record.value is None:
        return None
    low, high = score.intervals[metric]
    error = (high - low) / (2 * 1.959964)
    doubt = optimism(result, sd=sd)
    allowed = 2 * error + (doubt.curse if doubt else 0.0)
    gap = abs(record.value - score.metrics[metric])
    if not math.isfinite(allowed) or gap <= allowed:
        return None
    seen, tested = score_text(metric, record.value), score_text(metric, score.metrics[metric])
    return (
        f"Warning: validation ({seen}) and test ({tested}) "
        f"differ by {difference_text(metric, gap)}, more than chance and the winner's curse explain "
        f"({difference_text(metric, allowed)}). Look at how the data was split."
    )


def tested_metric(result: StudyResult, score: TestScore) -> str | None:
    """Under which name the test score holds the objective, `accuracy` or `test_accuracy`; None when it does not."""
    plain = result.objective.metric.removeprefix("val_")
    return next((name for name in (plain, f"test_{plain}") if name in score.metrics), None)


def score_text(metric: str, value: float) -> str:
    """A score for people: shares as per cent with one decimal, others with four digits."""
    return f"{100 * value:.1f} %" if is_share(metric) else f"{value:.4g}"


def difference_text(metric: str, value: float) -> str:
    """A difference of scores: points for shares."""
    return f"{100 * value:.1f} points" if is_share(metric) else f"{value:.2g}"


def _trial_count(result: StudyResult) -> str:
    states: Sequence[str] = [record.state for record in result.trials]
    told = ", ".join(
        f"{states.count(state)} {state}"
        for state in ("complete", "pruned", "failed", "running", "waiting")
        if state in states
    )
    return f"{len(states)} of {result.budget} trials: {told}" if states else f"0 of {result.budget} trials"

"""Names and texts as the MLflow pages show them: run names, parameters, and the description of a study."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from searchlab.plain import markdown, printable
from searchlab.records import StudyResult, TestScore, Trial, TrialRecord
from searchlab.space import Value
from searchlab.tracking import PROMOTED, StudyStart
from searchlab.tracking.mlflow import places

MAX_KEY, MAX_PARAM, MAX_TAG = 250, 6000, 8000  # mlflow/utils/validation.py
TELLING = ("optimizer", "optimizer.learning_rate", "training.batch_size")
"""Parameters that a table of the best shows, whatever else has to give way."""

SHORT = {"learning_rate": "lr", "batch_size": "batch", "weight_decay": "wd"}


def trial_name(trial: Trial, varied: Sequence[str]) -> str:
    """Such as `017 · cnn depth=3 width=32 adam lr=3.1e-3`: the number, the plugins, and what varies most telling."""
    labels = trial.params.labels()
    words = [str(labels["model"])] if "model" in labels else []
    words += [_pair(name, labels[name]) for name in varied if name.startswith("model.") and name in labels][:2]
    words += [str(labels["optimizer"])] if "optimizer" in varied and "optimizer" in labels else []
    rate = "optimizer.learning_rate"
    words += [_pair(rate, labels[rate])] if rate in varied and rate in labels else []
    if len(words) < 3:
        named = {word.partition("=")[0] for word in words}
        others = (_pair(name, labels[name]) for name in varied if name in labels and "." in name)
        words += [word for word in others if word.partition("=")[0] not in named][: 3 - len(words)]
    again = f" (attempt {trial.attempt})" if trial.attempt > 1 else ""
    return printable(f"{trial.number:03d} · {' '.join(words)}{again}")[:120]


def short_number(value: float) -> str:
    """Six digits at most: the pages show parameters as they are; exact values are in `trial.json`."""
    return f"{value:.6g}"


def param_text(value: Value) -> str:
    """A parameter as MLflow stores it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return short_number(value)
    return "none" if value is None else str(value)


def param_texts(trial: Trial) -> dict[str, str]:
    """The parameters of a trial as MLflow stores them, by their labels."""
    texts = {safe_key(name): param_text(value) for name, value in trial.params.labels().items()}
    return {name: alias(text, MAX_PARAM) for name, text in texts.items()}


def safe_key(key: str) -> str:
    """`key` as MLflow allows one; a changed one gets a few digits of its hash, so that two never meet."""
    clean = re.sub(r"[^\w\-. /]", "_", key, flags=re.ASCII).strip() or "_"
    parts = [part for part in clean.split("/") if part not in ("", ".", "..")]
    clean = "/".join(parts)[:MAX_KEY] or "_"
    if clean == key:
        return key
    return f"{clean[: MAX_KEY - 9]}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def log_label(label: str) -> str:
    """Under which name the logarithm of a parameter is stored, since the axes of the charts are linear."""
    return safe_key(f"log10 {label}")


def alias(text: str, limit: int) -> str:
    """`text` itself, or, when longer than `limit`, its beginning and hash: equal texts have equal aliases."""
    if len(text) <= limit:
        return text
    return f"{text[:200]}… ({len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]})"


def description(start: StudyStart, result: StudyResult | None = None, score: TestScore | None = None) -> str:
    """The study's page in Markdown: what it is, how far it has come, the best, and how the seal stands."""
    objective = f"`{start.objective.metric}` ({start.objective.direction})"
    counts = ", ".join(f"{count:,} {part}" for part, count in start.data.counts.items())
    about = [markdown(start.description), ""] if start.description else []
    about += [
        f"**Objective** {objective} · **budget** {start.budget} trials · **seed** {start.seed}",
        "",
        f"**Data** {markdown(start.data.description or start.data.name)} ({counts}) · digest `{start.data.digest}`",
        "",
    ]
    if result is None:
        return "\n".join(["_The search is running._", "", *about])
    states = [record.state for record in result.trials]
    told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    trials = f"{len(states)} of {result.budget} trials: {told or 'none'}"
    best = result.best
    if best is None:
        lines = [f"**No trial has a value** · {trials}", "", "The tag `searchlab.reason` of each says why.", "", *about]
    else:
        value = short_number(best.value or 0.0)
        lines = [f"**Best {start.objective.metric} {value}**, trial {best.trial.number} · {trials}", ""]
        lines += [*_offers(result.facts.get(PROMOTED, ())), *about]
        lines += ["## The best configurations", "", *_best_table(best_trials(result), start.varied), ""]
        lines += [f"[All trials side by side](#{places.view(start.uid, places.EXPERIMENT)})", ""]
    score = score or result.test
    lines += ["## Test set", ""]
    if score is None:
        lines += ["Sealed. To open it once, for the best trial:", "", f"    searchlab final-test {start.name}"]
    else:
        lines += [_score_line(metric, value, score) for metric, value in score.metrics.items()]
        times = "once" if score.openings == 1 else f"{score.openings} times"
        lines += ["", f"Trial {score.trial}, {score.examples:,} examples; the test set was opened {times}."]
    return "\n".join(lines)


def _offers(offers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Under which names the study's models are offered, with links that hold wherever the page comes from."""
    shown = [
        f"[{markdown(one['model'])} version {one['version']}](#/models/{quote(one['model'], safe='')}/versions/"
        f"{one['version']}) as `{one['alias']}` (trial {one['trial']})"
        for one in offers
    ]
    return [f"**Registered** {' · '.join(shown)}", ""] if shown else []


def best_trials(result: StudyResult, count: int = 10) -> list[TrialRecord]:
    """The best complete trials, best first."""
    sign = -1.0 if result.objective.direction == "maximize" else 1.0
    scored = [
        (sign * record.value, record.trial.number, record)
        for record in result.trials
        if record.state == "complete" and record.value is not None and math.isfinite(record.value)
    ]
    return [record for _, _, record in sorted(scored, key=lambda row: row[:2])[:count]]


def best_table(result: StudyResult) -> str:
    """The best trials as a table that MLflow shows as one (pandas's "split" JSON, as `mlflow.log_table` writes it)."""
    records = best_trials(result)
    names = list(dict.fromkeys(name for record in records for name in record.trial.params.labels()))
    # A name with a dot is a path to the viewer, which then finds nothing there.
    columns = ["trial", result.objective.metric, "best_epoch", "seconds", *(name.replace(".", " ") for name in names)]
    rows: list[list[Any]] = []
    for record in records:
        labels = record.trial.params.labels()
        ended = record.result
        first = [
            record.trial.number,
            _short(record.value),
            ended and ended.best_epoch,
            ended and round(ended.seconds, 2),
        ]
        rows.append([*first, *(_short(labels.get(name)) for name in names)])
    return json.dumps({"columns": columns, "data": rows}, allow_nan=False)


def _short(value: Value) -> Value:
    return float(short_number(value)) if isinstance(value, float) and math.isfinite(value) else value


def trial_json(trial: Trial) -> str:
    """Everything that makes the trial again, exactly."""
    content = {
        "number": trial.number,
        "attempt": trial.attempt,
        "replicate": trial.replicate,
        "seed": trial.seed,
        "params": dict(trial.params.values),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _best_table(records: Sequence[TrialRecord], varied: Sequence[str]) -> list[str]:
    names = _most_telling(records, varied)
    head = ["trial", "value", *(name.rpartition(".")[2] if "." in name else name for name in names)]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for record in records:
        labels: Mapping[str, Value] = record.trial.params.labels()
        cells = [markdown(_cell(labels[name])) if name in labels else "" for name in names]
        lines.append(f"| {record.trial.number} | {_cell(record.value or 0.0)} | {' | '.join(cells)} |")
    return lines


def _cell(value: Value) -> str:
    """Four digits at most: the pages give these tables little room."""
    return f"{value:.4g}" if isinstance(value, float) else param_text(value)


def _most_telling(records: Sequence[TrialRecord], varied: Sequence[str]) -> list[str]:
    """Eight parameters at most, in the order of the space: how it was trained, then what differs, then the others."""
    held = {name: {record.trial.params.labels().get(name) for record in records} for name in varied}
    names = [name for name in varied if held[name] != {None}]
    ranks = {name: (name not in TELLING, len(held[name]) == 1, place) for place, name in enumerate(names)}
    chosen = sorted(names, key=ranks.__getitem__)[:8]
    return [name for name in names if name in chosen]


def _score_line(metric: str, value: float, score: TestScore) -> str:
    low, high = score.intervals.get(metric, (math.nan, math.nan))
    interval = f" (95 % interval {low:.4g} to {high:.4g}, {score.interval_method})" if math.isfinite(low) else ""
    baseline = f"; baseline {score.baseline[metric]:.4g}" if metric in score.baseline else ""
    return f"- **{metric}** {value:.4g}{interval}{baseline}"


def _pair(name: str, value: Value) -> str:
    short = name.rpartition(".")[2]
    if short.isdigit():  # a layer's own value: width.2
        short = ".".join(name.split(".")[-2:])
    text = f"{value:.1e}" if isinstance(value, float) and 0 < abs(value) < 0.01 else param_text(value)
    text = f"{value:.3g}" if isinstance(value, float) and abs(value) >= 0.01 else text
    return f"{SHORT.get(short, short)}={text.replace('e-0', 'e-')}"

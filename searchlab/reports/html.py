"""A study as one HTML file: no network, nothing remote, everything that a person wrote is escaped.

The content policy allows no source at all but this file's own scripts, by their hashes, and its styles.  Plotly's
script stands in the file once; the figures are data.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

from searchlab.lazy import lazy
from searchlab.records import Confusion, StudyResult, TrialRecord
from searchlab.reports import confusion, gpu, words

if TYPE_CHECKING:
    import plotly.offline as offline
else:
    offline = lazy("plotly.offline")


SHADED = 30
"""Classes up to which the report shows all confusions, and not only the most frequent ones."""

MISTAKES = 30
"""So many of these."""


class Figure(Protocol):
    """What a Plotly figure can do that is needed here."""

    def to_json(self) -> str:
        """The figure as JSON with `data` and `layout`."""


def render(
    result: StudyResult,
    figures: Mapping[str, Figure] | None = None,
    *,
    description: str = "",
    resolved: str = "",
    sd: float | None = None,
    made: datetime | None = None,
) -> str:
    """The report; `figures` by title, in order; `resolved` is the study as YAML; `sd` as in `words.optimism`."""
    drawn = dict(figures or {})
    scripts = [*([offline.get_plotlyjs()] if drawn else []), _file("page.js") if drawn else _sorting_only()]
    parts = [
        f"<h1>{escape(result.name)}</h1>",
        f'<p class="under">{escape(description)}</p>' if description else "",
        _tiles(result, sd),
        *(f"<p>{escape(line)}</p>" for line in words.study_lines(result, sd=sd)[1:]),
        _test(result, sd),
        _best(result),
        _top(result),
        _classes(result),
        *(["<h2>Figures</h2>"] if drawn else []),
        *(_figure(number, title, figure) for number, (title, figure) in enumerate(drawn.items())),
        _all_trials(result),
        _facts(result, resolved),
        _footer(made or datetime.now(UTC)),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(result.name)} · searchlab</title>\n<style>\n{_file('page.css')}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n"
        + "".join(f"<script>{script}</script>\n" for script in scripts)
        + "</body>\n</html>\n"
    )


def _policy(scripts: Iterable[str]) -> str:
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )


def _sorting_only() -> str:
    return _file("page.js").partition("for (const place")[0]


def _tiles(result: StudyResult, sd: float | None) -> str:
    metric, best = result.objective.metric, result.best
    states = [record.state for record in result.trials]
    told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    tiles = []
    if best is not None and best.value is not None:
        tiles.append(
            _tile(f"best {metric}", words.score_text(metric, best.value), f"trial {best.trial.number}", "lead")
        )
    tiles.append(_tile("trials", f"{len(states)} of {result.budget}", told))
    doubt = words.optimism(result, sd=sd)
    if doubt is not None:
        note = f"expected at most, best of {doubt.candidates}"
        tiles.append(_tile("winner's curse", words.difference_text(metric, doubt.curse), note))
    score = result.test
    if score is None:
        tiles.append(_tile("test set", "sealed", "opened by final-test, once"))
    else:
        name = words.tested_metric(result, score) or next(iter(score.metrics), metric)
        value = score.metrics.get(name, math.nan)
        ends = [words.score_text(name, end) for end in score.intervals.get(name, ())]
        note = f"95 %: {' to '.join(ends)}" if ends else f"{score.examples:,} examples"
        tiles.append(_tile(f"test {name.removeprefix('test_')}", words.score_text(name, value), note, "lead"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(name: str, number: str, note: str, kind: str = "") -> str:
    return (
        f'<div class="tile {kind}"><div class="name">{escape(name)}</div><div class="number">{escape(number)}</div>'
        f'<div class="note">{escape(note)}</div></div>'
    )


def _test(result: StudyResult, sd: float | None) -> str:
    lines = words.score_lines(result, sd=sd)
    if not lines:
        return ""
    shown = [
        f'<p class="warning">{escape(line)}</p>' if line.startswith("Warning") else f"<p>{escape(line)}</p>"
        for line in lines
    ]
    return "\n".join(["<h2>Test set</h2>", *shown])


def _best(result: StudyResult) -> str:
    best = result.best
    if best is None:
        return ""
    rows = {name: _text(value) or "none" for name, value in best.trial.params.labels().items()}
    rows["seed"] = str(best.trial.seed)
    ended = best.result
    if ended is not None and ended.parameter_count is not None:
        rows["weights"] = f"{ended.parameter_count:,}"
    return f"<h2>Best configuration</h2>\n{_definitions(rows)}"


def _top(result: StudyResult, count: int = 10) -> str:
    sign = -1.0 if result.objective.direction == "maximize" else 1.0
    scored = [
        (sign * record.value, record.trial.number, record)
        for record in result.trials
        if record.state == "complete" and record.value is not None and math.isfinite(record.value)
    ]
    records = [record for _, _, record in sorted(scored, key=lambda row: row[:2])[:count]]
    if len(records) < 2:
        return ""
    differing = [
        name
        for name in dict.fromkeys(name for record in records for name in record.trial.params.labels())
        if len({repr(record.trial.params.labels().get(name)) for record in records}) > 1
    ]
    heads = ["trial", result.objective.metric, *differing]
    rows = [[r.trial.number, r.value, *(r.trial.params.labels().get(name) for name in differing)] for r in records]
    return f"<h2>The best {len(records)}</h2>\n{_table(heads, rows, sortable=True)}"


def _classes(result: StudyResult) -> str:
    """How well each class is known, and which are taken for which: all of them, or the most frequent mistakes."""
    found = result.confusion
    if found is None:
        return ""
    scores = [(one.name, one.examples, one.precision, one.recall, one.f1) for one in confusion.scores(found)]
    parts = [
        "<h2>Class by class</h2>",
        f"<p>Of trial {found.trial}, on the validation examples.</p>",
        _table(["class", "examples", "precision", "recall", "F1"], scores, sortable=True),
    ]
    if len(found.classes) <= SHADED:
        parts += ["<h3>True classes, and what they were taken for</h3>", _shaded(found)]
    else:
        rows = [(one.true, one.predicted, one.count, one.share) for one in confusion.mistakes(found, MISTAKES)]
        parts += [
            "<h3>The most frequent mistakes</h3>",
            _table(["true", "predicted", "times", "share"], rows, sortable=True),
        ]
    return "\n".join(parts)


def _shaded(found: Confusion) -> str:
    """A row a true class, a column a predicted one, shaded by shares of rows."""
    heads = "".join(f'<th class="n" scope="col">{escape(name)}</th>' for name in found.classes)
    rows = []
    for name, row in zip(found.classes, found.counts, strict=True):
        whole = max(1, sum(row))
        cells = "".join(f'<td class="n" style="--share: {count / whole:.2f}">{count or ""}</td>' for count in row)
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    head = f"<thead><tr><th>{escape(confusion.CORNER)}</th>{heads}</tr></thead>"
    body = "\n".join(rows)
    return f'<div class="scroll"><table class="shaded">{head}<tbody>\n{body}\n</tbody></table></div>'


def _all_trials(result: StudyResult) -> str:
    records = sorted(result.trials, key=lambda record: record.trial.number)
    if not records:
        return ""
    names = list(dict.fromkeys(name for record in records for name in record.trial.params.labels()))
    varied = [name for name in names if len({repr(r.trial.params.labels().get(name)) for r in records}) > 1]
    measured = [name.replace("_", " ") for name in gpu.COLUMNS[1:]] if gpu.is_measured(records) else []
    heads = ["trial", "state", result.objective.metric, "best epoch", "epochs", "seconds", *measured, *varied, "reason"]
    rows = [_trial_row(record, varied, is_measured=bool(measured)) for record in records]
    best = result.best
    number = best.trial.number if best is not None else None
    lines = "".join(f"\n<p>{escape(line)}</p>" for line in gpu.gpu_lines(records))
    return f"<h2>All trials</h2>{lines}\n{_table(heads, rows, sortable=True, best=number)}"


def _trial_row(record: TrialRecord, names: Sequence[str], *, is_measured: bool) -> list[Any]:
    ended, labels = record.result, record.trial.params.labels()
    numbers: list[Any] = [None, len(record.curve), None]
    if ended is not None:
        numbers = [ended.best_epoch, ended.epochs, round(ended.seconds, 1)]
    numbers += gpu.figures(record)[1:] if is_measured else ()
    reason = (ended.reason or "") if ended else ""
    return [record.trial.number, record.state, record.value, *numbers, *(labels.get(n) for n in names), reason]


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]], *, sortable: bool, best: int | None = None) -> str:
    numeric = [all(row[place] is None or _is_number(row[place]) for row in rows) for place in range(len(heads))]
    head = "".join(
        f'<th{" class=n" if is_number else ""} scope="col"><button type="button">{escape(name)}</button></th>'
        for name, is_number in zip(heads, numeric, strict=True)
    )
    lines = []
    for row in rows:
        mark = ' class="best"' if best is not None and row[0] == best else ""
        cells = "".join(_cell(value, is_number) for value, is_number in zip(row, numeric, strict=True))
        lines.append(f"<tr{mark}>{cells}</tr>")
    kind = ' class="sortable"' if sortable else ""
    body = "\n".join(lines)
    return f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _cell(value: Any, is_number: bool) -> str:
    if is_number:
        exact = "" if value is None else f' data-value="{value!r}"'
        return f'<td class="n"{exact}>{_text(value)}</td>'
    text = escape(_text(value))
    kind = ' class="long"' if len(text) > 60 else f' class="{text}"' if text in ("complete", "pruned", "failed") else ""
    return f"<td{kind}>{text}</td>"


def _figure(number: int, title: str, figure: Figure) -> str:
    content = figure.to_json().replace("<", "\\u003c")  # so that no text in a figure can end the element
    json.loads(content)
    return (
        f'<h3>{escape(title)}</h3>\n<div class="figure" data-figure="figure-{number}" role="img" '
        f'aria-label="{escape(title)}"></div>\n<script type="application/json" id="figure-{number}">{content}</script>'
    )


def _facts(result: StudyResult, resolved: str) -> str:
    rows = {
        "objective": f"{result.objective.metric}, {result.objective.direction}",
        "seed": str(result.seed),
        "validation examples": f"{result.validation_examples:,}",
        **{str(key).replace("_", " "): _fact(value) for key, value in result.facts.items()},
    }
    text = f"<h2>Data and reproducibility</h2>\n{_definitions(rows)}"
    if resolved:
        text += "\n<details><summary>The study file, resolved</summary>"
        text += f"<pre><code>{escape(resolved)}</code></pre></details>"
    return text


def _definitions(rows: Mapping[str, str]) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd class=mono>{escape(text)}</dd>" for name, text in rows.items())
    return f'<dl class="facts">{items}</dl>'


def _footer(made: datetime) -> str:
    return f"<footer>Made by searchlab, {made:%Y-%m-%d %H:%M %Z}. Everything is in this file.</footer>"


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_fact(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value))
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _file(name: str) -> str:
    return files("searchlab.reports").joinpath(name).read_text(encoding="utf-8")

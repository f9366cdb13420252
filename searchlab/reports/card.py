"""The model card: what a model is, how well it does, what it was made from and where it ends, in Markdown.

Why so short: MLflow keeps descriptions of at most 5,000 characters, and only PostgreSQL says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from searchlab.plain import markdown
from searchlab.records import StudyResult, TrialRecord
from searchlab.reports import words
from searchlab.space import Value

ROOM = 4600
"""Characters of a card, so that whoever shows it has room for links."""

CLASSES, PARAMS = 40, 40
"""So many classes and parameters are named."""

LIBRARIES = ("python", "searchlab", "keras", "tensorflow", "jax", "torch", "numpy", "optuna")


def card(result: StudyResult, record: TrialRecord, *, load: str, classes: Sequence[str] | None = None) -> str:
    """The card of the model of `record`; `load` is the Python that loads it, `classes` what its outputs stand for."""
    for room in (60, 20, 8, 3, 0):  # long names of classes and parameters give way first
        text = "\n\n".join(_sections(result, record, load, classes, room))
        if len(text) <= ROOM:
            return text
    return text[: ROOM - 1] + "…"


def _sections(
    result: StudyResult, record: TrialRecord, load: str, classes: Sequence[str] | None, room: int
) -> Iterator[str]:
    facts, metric = result.facts, result.objective.metric
    value = "" if record.value is None else f" `{metric}` **{words.score_text(metric, record.value)}**."
    yield f"{_sentence(facts, record)}{value}"
    yield f"```python\n{load}\n```"
    yield "### Scores\n\n" + "\n".join(f"- {markdown(line)}" for line in _scores(result, record))
    yield "### Data\n\n" + "\n".join(f"- {line}" for line in _data(facts, classes, room))
    yield "### Search\n\n" + "\n".join(f"- {line}" for line in _search(result, record))
    yield "### Parameters\n\n" + "\n".join(f"- {line}" for line in _params(record.trial.params.labels(), room))
    yield "### Made with\n\n" + _made_with(facts)
    yield "### Limits\n\n" + "\n".join(f"- {line}" for line in _limits(result))


def _sentence(facts: Mapping[str, Any], record: TrialRecord) -> str:
    task = str(facts.get("task", "a model")).replace("_", " ")
    family = record.trial.params.values.get("model")
    built = f", a `{family}`" if family else ""
    size = record.result.parameter_count if record.result else None
    weights = f" with {size:,} weights" if size else ""
    return f"{task.capitalize()} on {markdown(str(facts.get('data', 'unknown data')))}{built}{weights}."


def _scores(result: StudyResult, record: TrialRecord) -> Iterator[str]:
    metric = result.objective.metric
    ended = record.result
    if record.value is not None:
        after = f" after epoch {ended.best_epoch}" if ended and ended.best_epoch else ""
        count = f" on {result.validation_examples:,} examples" if result.validation_examples else ""
        yield f"Validation {metric}: {words.score_text(metric, record.value)}{after}{count}."
    if result.test is not None and result.test.trial == record.trial.number:
        yield from words.score_lines(result, sd=result.facts.get("objective_sd"))
    elif result.test is not None:
        yield f"The test set was opened for trial {result.test.trial}, not for this model's."
    else:
        yield "The test set is still sealed: there is no test score."


def _data(facts: Mapping[str, Any], classes: Sequence[str] | None, room: int) -> Iterator[str]:
    about = str(facts.get("data_description") or facts.get("data", ""))
    yield f"{markdown(about)}, digest `{str(facts.get('data_digest'))[:16]}`"
    counts = ", ".join(f"{count:,} {part}" for part, count in dict(facts.get("counts", {})).items())
    split = dict(facts.get("split", {}))
    by = f", split {split['by']} with seed {split['seed']}" if {"by", "seed"} <= split.keys() else ""
    if counts:
        yield f"{counts}{by}"
    if classes:
        few = [markdown(name[:40]) for name in classes[: min(CLASSES, room)]]
        more = len(classes) - len(few)
        yield f"{len(classes)} classes: {', '.join(few)}{f' and {more} more' if more else ''}"


def _search(result: StudyResult, record: TrialRecord) -> Iterator[str]:
    facts = result.facts
    states = [one.state for one in result.trials]
    told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    yield f"trial {record.trial.number} of study `{result.name}`: {len(states)} of {result.budget} trials ({told})"
    how = [f"{name} `{facts[name]}`" for name in ("sampler", "pruner") if facts.get(name)]
    how += [f"up to {facts['epochs']} epochs a trial"] if facts.get("epochs") else []
    yield ", ".join([*how, f"seed {result.seed}"])


def _params(params: Mapping[str, Value], room: int) -> Iterator[str]:
    shown = list(params.items())[: min(PARAMS, room)]
    for name, value in shown:
        yield f"`{name}` {markdown(_value(value))}"
    if len(params) > len(shown):
        yield f"… and {len(params) - len(shown)} more, in `trial.json`"


def _value(value: Value) -> str:
    if isinstance(value, bool | None):
        return str(value).lower()
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _made_with(facts: Mapping[str, Any]) -> str:
    versions = dict(facts.get("versions", {}))
    libraries = ", ".join(f"{name} {versions[name]}" for name in LIBRARIES if name in versions)
    commit = str(facts.get("git_commit") or "")
    short = commit[:12] + commit[40:]  # a "+" behind it says that files were changed
    return f"{libraries}; git commit `{short}`" if commit else f"{libraries}; no git checkout"


def _limits(result: StudyResult) -> Iterator[str]:
    doubt = words.optimism(result, sd=result.facts.get("objective_sd"))
    metric = result.objective.metric
    if doubt is not None and doubt.candidates > 1:
        yield (
            f"The validation score is the best of {doubt.candidates}: it may flatter by up to "
            f"{words.difference_text(metric, doubt.curse)}."
        )
    yield "It was measured on examples like those it was trained on; nothing is known of others."
    yield "Neither fairness between groups, nor robustness, nor how sure its probabilities are was examined."

"""From records to steps: which run, parameter, metric, tag and file each record becomes.

One run for the study and one below it for each attempt of a trial, never deeper, since the pages show one level.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from searchlab.plain import printable
from searchlab.records import Epoch, GpuUse, StudyResult, TestScore, Trial, TrialRecord, TrialResult
from searchlab.tracking import StudyStart
from searchlab.tracking.mlflow import words
from searchlab.tracking.mlflow.steps import Step, file_step, run_uid

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


class Content:
    """The steps of one study, made from its records in the order they come."""

    def __init__(self, start: StudyStart, session: str = "") -> None:
        self.start = start
        self.session = session
        """Names the session, so that it ends the study's own run only while it leads it."""
        self.parent = run_uid(start.uid)
        self._open: dict[int, Trial] = {}
        self._attempts: dict[int, int] = {}
        self._epochs_seen: set[tuple[int, int]] = set()
        self._nonfinite: dict[str, dict[str, None]] = {}
        self._is_searching = False
        self._result: StudyResult | None = None

    def header(self) -> Step:
        """Whose steps follow."""
        leads = not self.start.is_led_elsewhere
        return Step("session", self.parent, time.time(), {"id": self.session, "leads": leads})

    def leader_lost(self, session: str) -> Iterator[Step]:
        """The end of the study's own run where `session`, which led it, is gone and nobody leads it since."""
        words = {"status": "KILLED", "state": "interrupted", "only_running": True, "only_of": session}
        yield Step("end", self.parent, time.time(), words)

    def study_started(self) -> Iterator[Step]:
        """The experiment's primary metric, and the study's own run with everything known beforehand."""
        now, start = time.time(), self.start
        if start.is_led_elsewhere:
            return
        is_greater_better = str(start.objective.direction == "maximize")
        primary = {"name": "objective", "greaterIsBetter": is_greater_better}
        tags = {f"mlflow.experiment.primaryMetric.{key}": value for key, value in primary.items()}
        yield Step("experiment", self.parent, now, {"tags": tags})
        yield self._begin(now)
        params = {"objective": start.objective.metric, "direction": start.objective.direction, "seed": str(start.seed)}
        settings = {key: start.facts[key] for key in ("sampler", "pruner") if isinstance(start.facts.get(key), str)}
        yield Step("params", self.parent, now, {"values": params | settings})
        yield self._inputs(self.parent, now)
        if start.resolved:
            yield file_step(self.parent, now, "study.yaml", start.resolved)
        facts = json.dumps(dict(start.facts), indent=2, default=str, ensure_ascii=False)
        yield file_step(self.parent, now, "facts.json", facts + "\n")

    def trial_started(self, trial: Trial, at: float | None) -> Iterator[Step]:
        """The trial's run: name, tags, parameters, data, and the exact configuration."""
        now = time.time() if at is None else at
        run = run_uid(self.start.uid, trial.number, trial.attempt)
        if not self._is_searching:
            self._is_searching = True
            is_led_here = not self.start.is_led_elsewhere
            yield Step("resume", self.parent, now, {"session": self.session}) if is_led_here else self._begin(now)
        if trial.attempt > 1:  # whoever trained the attempt before is gone
            yield from self.trial_lost(trial.number, trial.attempt - 1, now)
        self._open[trial.number] = trial
        self._attempts[trial.number] = trial.attempt
        tags = self._tags("trial") | {
            "searchlab.trial": str(trial.number),
            "searchlab.attempt": str(trial.attempt),
            "searchlab.trial_seed": str(trial.seed),
            "searchlab.replicate": str(trial.replicate),
            "searchlab.config": trial.params.digest(),
        }
        tags |= {
            f"searchlab.{key}": str(trial.params.values[name]) for key, name in _PICKS if name in trial.params.values
        }
        name = words.trial_name(trial, self.start.varied)
        yield Step("begin", run, now, {"name": name, "tags": tags, "parent": self.parent})
        params = words.param_texts(trial)
        for name, value in trial.params.labels().items():
            if name in self.start.log_scaled and isinstance(value, int | float) and value > 0:
                params[words.log_label(name)] = f"{math.log10(value):.3f}"
        yield Step("params", run, now, {"values": params})
        yield self._inputs(run, now)
        yield file_step(run, now, "trial.json", words.trial_json(trial))

    def trial_lost(self, number: int, attempt: int, at: float | None = None) -> Iterator[Step]:
        """The end of an attempt that nobody works on any more; one that has ended otherwise stays as it is."""
        if number in self._open and self._open[number].attempt <= attempt:
            del self._open[number]
        now = time.time() if at is None else at
        words = {"status": "FAILED", "state": "lost", "only_running": True}
        yield Step("end", run_uid(self.start.uid, number, attempt), now, words)

    def epoch(self, epoch: Epoch, attempt: int, at: float | None) -> Iterator[Step]:
        """The metrics of one epoch; numbers that are not finite become a tag instead of a point at 1.8e308."""
        now = time.time() if at is None else at
        run = run_uid(self.start.uid, epoch.trial, attempt)
        self._epochs_seen.add((epoch.trial, attempt))
        values = {**epoch.metrics, "epoch_seconds": epoch.seconds}
        finite = {words.safe_key(key): float(value) for key, value in values.items() if math.isfinite(value)}
        yield Step("metrics", run, now, {"step": epoch.epoch, "values": finite})
        strange = [
            f"{key} {float(value)} at epoch {epoch.epoch}" for key, value in values.items() if not math.isfinite(value)
        ]
        if strange:
            seen = self._nonfinite.setdefault(run, {})
            seen.update(dict.fromkeys(strange))
            text = words.alias("; ".join(seen), words.MAX_TAG)
            yield Step("tags", run, now, {"values": {"searchlab.nonfinite": text}})

    def trial_finished(self, record: TrialRecord) -> Iterator[Step]:
        """How it ended: final numbers, state and reason, the model's summary, the traceback of a failure."""
        trial = record.trial
        if self._attempts.get(trial.number) != trial.attempt:
            yield from self.trial_started(trial, record.started)
        run = run_uid(self.start.uid, trial.number, trial.attempt)
        now = time.time() if record.finished is None else record.finished
        if (trial.number, trial.attempt) not in self._epochs_seen:
            metric = words.safe_key(self.start.objective.metric)
            for epoch, value in record.curve.items():
                if math.isfinite(value):
                    yield Step("metrics", run, record.started or now, {"step": epoch, "values": {metric: value}})
        result = record.result or TrialResult(trial.number, record.state, record.value)
        yield Step("metrics", run, now, {"step": result.best_epoch or 0, "values": _final_numbers(record, result)})
        tags: dict[str, str] = {"searchlab.state": record.state}
        if result.engine:
            tags["searchlab.engine"] = words.alias(printable(result.engine), words.MAX_TAG)
        if result.gpu is not None:
            tags["searchlab.gpu"] = words.alias(printable(result.gpu.name), words.MAX_TAG)
        if result.reason:
            tags["searchlab.reason"] = words.alias(printable(result.reason), words.MAX_TAG)
        yield Step("tags", run, now, {"values": tags})
        if result.summary:
            yield file_step(run, now, "model_summary.txt", result.summary)
        if result.detail:
            yield file_step(run, now, "failure.txt", result.detail)
        yield Step("end", run, now, {"status": STATUS.get(record.state, "KILLED"), "state": record.state})
        self._open.pop(trial.number, None)

    def study_finished(self, result: StudyResult, attachments: Mapping[str, bytes | str]) -> Iterator[Step]:
        """The study's own run: the best value, the table of the best, the description, the figures."""
        now = time.time()
        self._is_searching = False
        self._result = result
        best = result.best
        if best is not None and best.value is not None:
            values = {"objective": best.value, "best_trial": float(best.trial.number)}
            step = len(result.trials)  # a resumed study adds a further point
            yield Step("metrics", self.parent, now, {"step": step, "values": values})
            yield file_step(self.parent, now, "best_trials.json", words.best_table(result))
        states = [record.state for record in result.trials]
        tags = {f"searchlab.trials.{one}": str(states.count(one)) for one in dict.fromkeys(states)}
        tags["mlflow.note.content"] = words.alias(words.description(self.start, result), words.MAX_TAG)
        if best is not None:
            tags["mlflow.loggedArtifacts"] = json.dumps([{"path": "best_trials.json", "type": "table"}])
            tags["searchlab.best_trial"] = str(best.trial.number)
        state = "failed" if best is None else "complete"
        yield Step("tags", self.parent, now, {"values": {**tags, "searchlab.state": state}})
        for path, content in attachments.items():
            yield file_step(self.parent, now, path, content)
        yield Step("end", self.parent, now, {"status": STATUS[state], "state": state})

    def best_facts(self) -> Mapping[str, Any] | None:
        """What the page of the best trial's model shows of it; None before the end of the study."""
        best = self._result.best if self._result is not None else None
        if best is None or best.value is None:
            return None
        metric = words.safe_key(self.start.objective.metric)
        return {
            "trial": best.trial.number,
            "params": words.param_texts(best.trial),
            "metrics": {metric: best.value},
            "note": f"The model of trial {best.trial.number} of {self.start.name}, the best by "
            f"`{metric}`: {words.short_number(best.value)}.",
        }

    def test_scored(self, score: TestScore) -> Iterator[Step]:
        """The first place where a metric may be called test_*."""
        now = time.time()
        values = {words.safe_key(f"test_{key.removeprefix('test_')}"): value for key, value in score.metrics.items()}
        values = {key: value for key, value in values.items() if math.isfinite(value)}
        yield Step("metrics", self.parent, now, {"step": score.openings, "values": values})
        tags = {"searchlab.test.openings": str(score.openings), "searchlab.test.trial": str(score.trial)}
        if self._result is not None:
            tags["mlflow.note.content"] = words.alias(words.description(self.start, self._result, score), words.MAX_TAG)
        yield Step("tags", self.parent, now, {"values": tags})
        content = {**vars(score), "metrics": dict(score.metrics), "intervals": dict(score.intervals)}
        content["baseline"] = dict(score.baseline)
        yield file_step(self.parent, now, "test_score.json", json.dumps(content, indent=2, default=str) + "\n")

    def abandoned(self) -> Iterator[Step]:
        """What was begun here and has no end: an interrupted study can be resumed, and its runs are found again."""
        now = time.time()
        for trial in self._open.values():
            run = run_uid(self.start.uid, trial.number, trial.attempt)
            yield Step("end", run, now, {"status": "KILLED", "state": "interrupted", "only_running": True})
        if self._is_searching and not self.start.is_led_elsewhere:
            yield from self.leader_lost(self.session)
        self._open.clear()

    def _begin(self, now: float) -> Step:
        """The study's own run; one who does not lead the study leaves the making of it to its leader."""
        start = self.start
        tags = self._tags("study") | {"mlflow.note.content": words.alias(words.description(start), words.MAX_TAG)}
        tags |= {"searchlab.metric": start.objective.metric, "searchlab.budget": str(start.budget)}
        body = {"name": printable(start.name), "tags": tags, "parent": None}
        if start.is_led_elsewhere:
            return Step("begin", self.parent, now, body | {"awaits": True})
        tags["searchlab.led_by"] = self.session
        return Step("begin", self.parent, now, body)

    def _tags(self, kind: str) -> dict[str, str]:
        start = self.start
        tags = {f"searchlab.{key}": words.alias(str(value), words.MAX_TAG) for key, value in start.tags.items()}
        tags = {words.safe_key(key): value for key, value in tags.items()}
        return tags | {
            "searchlab.kind": kind,
            "searchlab.study": start.name,
            "searchlab.study_uid": start.uid,
            "searchlab.study_seed": str(start.seed),
            "searchlab.data_digest": start.data.digest,
            "searchlab.state": "running",
        }

    def _inputs(self, run: str, at: float) -> Step:
        data = self.start.data
        sets = [
            {"name": f"{data.name} {part}", "digest": data.digest, "context": part, "rows": data.counts.get(part)}
            for part in ("train", "validation")
        ]
        return Step("inputs", run, at, {"sets": sets, "description": data.description})


_PICKS = (("family", "model"), ("optimizer", "optimizer"), ("schedule", "schedule"))


def _final_numbers(record: TrialRecord, result: TrialResult) -> dict[str, float]:
    numbers = {
        "objective": record.value,
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "seconds": round(result.seconds, 3),
        "weights": result.parameter_count,
        **_gpu_numbers(result.gpu),
    }
    return {key: float(number) for key, number in numbers.items() if number is not None and math.isfinite(number)}


def _gpu_numbers(gpu: GpuUse | None) -> dict[str, float | None]:
    if gpu is None:
        return {}
    memory = None if gpu.memory is None else gpu.memory / 2**20
    return {"gpu_utilization": gpu.utilization, "gpu_memory_mib": memory, "gpu_energy_wh": gpu.energy}

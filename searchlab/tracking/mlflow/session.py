"""One process's line to MLflow: records in, steps to the writer's queue."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from searchlab.data import Array
from searchlab.records import Epoch, StudyResult, TestScore, Trial, TrialRecord
from searchlab.tracking import Delivery, StudyStart
from searchlab.tracking.mlflow import champion
from searchlab.tracking.mlflow.content import Content
from searchlab.tracking.mlflow.journal import Story
from searchlab.tracking.mlflow.outbox import Outbox
from searchlab.tracking.mlflow.steps import Step
from searchlab.tracking.mlflow.store import Store
from searchlab.tracking.mlflow.view import view_page, view_tag
from searchlab.tracking.mlflow.writer import Writer


class MlflowSession:
    """See `searchlab.tracking.Session`."""

    def __init__(self, uri: str, *, experiment: str, home: Path) -> None:
        self._uri = uri
        self._experiment = experiment
        self._home = home
        self._content: Content | None = None
        self._writer: Writer | None = None
        self._left: tuple[tuple[int, int], ...] = ()
        self._closed: Delivery | None = None
        self._axes: tuple[str, ...] = ()

    def study_started(self, start: StudyStart) -> None:
        """The study's own run, and the saved view of its trials; what others have left behind goes before it."""
        content = Content(start, uuid.uuid4().hex)
        outbox = Outbox(self._home, start.uid)
        journals = outbox.left()
        story = Story()
        for journal in journals:
            story.hear(journal.steps())
        self._left = story.left()
        self._content = content
        self._axes = start.varied

        def connect() -> Store:
            return Store(self._uri, experiment=self._experiment, home=self._home)

        self._writer = Writer(connect, lambda: outbox.begin(content.header()), journals)
        for session in sorted(story.led):
            self._put(content.leader_lost(session))
        self._put(content.study_started())
        if not start.is_led_elsewhere:
            self._write_view()

    def left_behind(self) -> tuple[tuple[int, int], ...]:
        """As the journals tell that nobody held."""
        return self._left

    def trial_started(self, trial: Trial, *, at: float | None = None) -> None:
        """A run below the study's; the view's axes stay those parameters that every trial has."""
        self._put(self._of_study.trial_started(trial, at))
        labels = trial.params.labels()
        if not all(name in labels for name in self._axes):
            self._axes = tuple(name for name in self._axes if name in labels)
            self._write_view()

    def trial_lost(self, trial_number: int, attempt: int) -> None:
        """The end of the attempt's run."""
        self._put(self._of_study.trial_lost(trial_number, attempt))

    def epoch(self, epoch: Epoch, *, attempt: int = 1, at: float | None = None) -> None:
        """One point of each metric."""
        self._put(self._of_study.epoch(epoch, attempt, at))

    def trial_finished(self, record: TrialRecord) -> None:
        """The end of the trial's run."""
        self._put(self._of_study.trial_finished(record))

    def study_finished(self, result: StudyResult, attachments: Mapping[str, bytes | str] | None = None) -> None:
        """The end of the study's run."""
        self._put(self._of_study.study_finished(result, attachments or {}))

    def test_scored(self, score: TestScore) -> None:
        """Test metrics on the study's run."""
        self._put(self._of_study.test_scored(score))

    def log_model(self, model: Path, *, inputs: Array, outputs: Array) -> None:
        """The champion on the study's run."""
        study = self._of_study
        self._put([champion.model_step(study.parent, study.start.name, model, inputs, outputs, study.best_facts())])

    def view_url(self, timeout: float = 10.0) -> str | None:
        """The saved view."""
        place = self._place(timeout)
        return None if place is None else view_page(self._of_study.start, self._uri, place[0].experiment_id)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait for the writer."""
        return self._writer is None or self._writer.flush(timeout)

    def close(self, timeout: float = 10.0) -> Delivery:
        """End what was begun, deliver, keep the rest; a second call repeats the answer."""
        if self._closed is None:
            if self._content is not None:
                self._put(self._content.abandoned())
            self._closed = Delivery() if self._writer is None else self._writer.close(timeout)
        return self._closed

    @property
    def _of_study(self) -> Content:
        assert self._content is not None, "study_started comes first"
        return self._content

    def _write_view(self) -> None:
        key, value = view_tag(self._of_study.start, self._axes, time.time())
        self._put([Step("experiment", self._of_study.parent, time.time(), {"tags": {key: value}})])

    def _put(self, steps: Iterable[Step]) -> None:
        assert self._writer is not None, "study_started comes first"
        self._writer.put(steps)

    def _place(self, timeout: float) -> tuple[Store, str] | None:
        """The store and the id of the study's run, once it is there."""
        if self._writer is None or not self._writer.flush(timeout):
            return None
        store = self._writer.store
        try:
            run_id = store.run_id(self._of_study.parent) if store is not None else None
        except Exception:  # out of reach again
            return None
        return None if store is None or run_id is None else (store, run_id)

"""One process's line to MLflow: records in, steps to the writer's queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from searchlab.data import Array
from searchlab.records import Epoch, StudyResult, TestScore, Trial, TrialRecord
from searchlab.tracking import Delivery, StudyStart
from searchlab.tracking.mlflow import champion
from searchlab.tracking.mlflow.content import Content
from searchlab.tracking.mlflow.outbox import FILE
from searchlab.tracking.mlflow.places import redacted
from searchlab.tracking.mlflow.steps import Step
from searchlab.tracking.mlflow.store import Store
from searchlab.tracking.mlflow.view import view_page, view_tag
from searchlab.tracking.mlflow.writer import Writer

log = logging.getLogger(__name__)


class MlflowSession:
    """See `searchlab.tracking.Session`."""

    def __init__(self, uri: str, *, experiment: str, home: Path) -> None:
        self._uri = uri
        self._content: Content | None = None
        self._closed: Delivery | None = None
        self._axes: tuple[str, ...] = ()

        def connect() -> Store:
            return Store(uri, experiment=experiment, home=home)

        self._writer = Writer(connect, experiment=experiment, outbox=home / FILE)

    def study_started(self, start: StudyStart) -> None:
        """The study's own run, and the saved view of its trials."""
        self._content = Content(start)
        self._axes = start.varied
        self._writer.put(self._content.study_started())
        self._write_view()

    def trial_started(self, trial: Trial, *, at: float | None = None) -> None:
        """A run below the study's; the view's axes stay those parameters that every trial has."""
        self._writer.put(self._of_study.trial_started(trial, at))
        labels = trial.params.labels()
        if not all(name in labels for name in self._axes):
            self._axes = tuple(name for name in self._axes if name in labels)
            self._write_view()

    def epoch(self, epoch: Epoch, *, attempt: int = 1, at: float | None = None) -> None:
        """One point of each metric."""
        self._writer.put(self._of_study.epoch(epoch, attempt, at))

    def trial_finished(self, record: TrialRecord) -> None:
        """The end of the trial's run."""
        self._writer.put(self._of_study.trial_finished(record))

    def study_finished(self, result: StudyResult, attachments: Mapping[str, bytes | str] | None = None) -> None:
        """The end of the study's run."""
        self._writer.put(self._of_study.study_finished(result, attachments or {}))

    def test_scored(self, score: TestScore) -> None:
        """Test metrics on the study's run."""
        self._writer.put(self._of_study.test_scored(score))

    def log_model(self, model: Path, *, inputs: Array, outputs: Array) -> str | None:
        """The champion on the study's run."""
        place = self._place(timeout=30.0)
        if place is None:
            log.warning("the best model was not stored in MLflow, which is out of reach")
            return None
        store, run_id = place
        try:
            name = self._of_study.start.name
            return champion.write_model(store.client, run_id, model, name=name, inputs=inputs, outputs=outputs)
        except Exception as error:  # best effort by contract: the model's file is safe in the study's folder
            log.warning("the best model was not stored in MLflow: %s", redacted(str(error)))
            return None

    def view_url(self, timeout: float = 10.0) -> str | None:
        """The saved view."""
        place = self._place(timeout)
        return None if place is None else view_page(self._of_study.start, self._uri, place[0].experiment_id)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait for the writer."""
        return self._writer.flush(timeout)

    def close(self, timeout: float = 10.0) -> Delivery:
        """End what was begun, deliver, keep the rest; a second call repeats the answer."""
        if self._closed is None:
            if self._content is not None:
                self._writer.put(self._content.abandoned())
            self._closed = self._writer.close(timeout)
        return self._closed

    @property
    def _of_study(self) -> Content:
        assert self._content is not None, "study_started comes first"
        return self._content

    def _write_view(self) -> None:
        key, value = view_tag(self._of_study.start, self._axes, time.time())
        self._writer.put([Step("experiment", self._of_study.parent, time.time(), {"tags": {key: value}})])

    def _place(self, timeout: float) -> tuple[Store, str] | None:
        """The store and the id of the study's run, once it is there."""
        self._writer.flush(timeout)
        store = self._writer.store
        try:
            run_id = store.run_id(self._of_study.parent) if store is not None else None
        except Exception:  # out of reach again
            return None
        return None if store is None or run_id is None else (store, run_id)

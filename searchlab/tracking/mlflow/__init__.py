"""MLflow: one run for the study, one below it for each trial; an embedded SQLite store or a server.

A projection of the study that can be deleted and made again; nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from searchlab import atomic, urls
from searchlab.records import StudyResult, TrialRecord
from searchlab.tracking import Audit, Delivery, Registered, Release, Session, StoredRun, StudyStart, Tracker
from searchlab.tracking.mlflow import audit, places, registry
from searchlab.tracking.mlflow.outbox import Outbox
from searchlab.tracking.mlflow.session import MlflowSession
from searchlab.tracking.mlflow.store import Store


class _Mlflow:
    keeps = True

    def open(self, uri: str | None, *, experiment: str, home: Path) -> Session:
        return MlflowSession(places.resolve(uri, home), experiment=experiment, home=home)

    def check(self, uri: str | None, *, home: Path) -> str | None:
        place = places.resolve(uri, home)
        silence = places.knock(place)
        is_new = place.startswith(urls.SQLITE) and not urls.file_of(place).exists()
        if silence is not None or is_new:
            return silence
        try:
            Store.ask(place)
        except Exception as error:  # whatever the client raises is the answer
            return places.reason_of(error)
        return None

    def runs(self, uri: str | None, *, experiment: str, home: Path, study_uid: str) -> tuple[StoredRun, ...]:
        place = places.resolve(uri, home)
        with places.reaching(place):
            return Store(place, experiment=experiment, home=home).runs(study_uid)

    def audit(
        self, uri: str | None, *, experiment: str, home: Path, start: StudyStart, records: Iterable[TrialRecord]
    ) -> Audit:
        runs = self.runs(uri, experiment=experiment, home=home, study_uid=start.uid)
        return audit.compare(start, records, runs, Outbox(home, start.uid)).audit

    def rebuild(
        self, uri: str | None, *, experiment: str, home: Path, start: StudyStart, result: StudyResult
    ) -> Delivery:
        place, outbox = places.resolve(uri, home), Outbox(home, start.uid)
        with outbox.alone(), places.reaching(place):
            return audit.rebuild(lambda: Store(place, experiment=experiment, home=home), start, result, outbox)

    def promote(
        self,
        uri: str | None,
        *,
        experiment: str,
        home: Path,
        start: StudyStart,
        result: StudyResult,
        release: Release,
    ) -> Registered:
        place = places.resolve(uri, home)
        with atomic.alone(home / "promote.lock"), places.reaching(place, "does not take the model"):
            return registry.register(Store(place, experiment=experiment, home=home), start, result, release)


TRACKER: Tracker = _Mlflow()

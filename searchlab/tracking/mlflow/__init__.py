"""MLflow: one run for the study, one below it for each trial; an embedded SQLite store or a server.

A projection of the study that can be deleted and made again; nothing waits for it.
"""

from __future__ import annotations

from pathlib import Path

from searchlab.errors import ServiceError
from searchlab.tracking import Session, StoredRun, Tracker
from searchlab.tracking.mlflow import places
from searchlab.tracking.mlflow.session import MlflowSession
from searchlab.tracking.mlflow.store import Store


class _Mlflow:
    keeps = True

    def open(self, uri: str | None, *, experiment: str, home: Path) -> Session:
        return MlflowSession(places.resolve(uri, home), experiment=experiment, home=home)

    def check(self, uri: str | None, *, home: Path) -> str | None:
        place = places.resolve(uri, home)
        silence = places.knock(place)
        if silence is not None or not places.is_server(place):
            return silence
        try:
            Store.ask(place)
        except Exception as error:  # whatever the client raises is the answer
            return places.reason_of(error)
        return None

    def runs(self, uri: str | None, *, experiment: str, home: Path, study_uid: str) -> tuple[StoredRun, ...]:
        place = places.resolve(uri, home)
        try:
            return Store(place, experiment=experiment, home=home).runs(study_uid)
        except Exception as error:
            words = f"the tracking store {places.redacted(place)} cannot be read: {places.reason_of(error)}"
            raise ServiceError(words) from error


TRACKER: Tracker = _Mlflow()

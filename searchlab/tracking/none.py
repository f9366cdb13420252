"""Writes nothing down: for tests, benchmarks and studies that nobody will look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from searchlab.data import Array
from searchlab.errors import SpecError
from searchlab.records import Epoch, StudyResult, TestScore, Trial, TrialRecord
from searchlab.tracking import Audit, Delivery, Registered, Release, Session, StoredRun, StudyStart, Tracker


class _Session:
    """Forgets everything at once."""

    def study_started(self, start: StudyStart) -> None: ...

    def left_behind(self) -> tuple[tuple[int, int], ...]:
        return ()

    def trial_started(self, trial: Trial, *, at: float | None = None) -> None: ...

    def trial_lost(self, trial_number: int, attempt: int) -> None: ...

    def epoch(self, epoch: Epoch, *, attempt: int = 1, at: float | None = None) -> None: ...

    def trial_finished(self, record: TrialRecord) -> None: ...

    def study_finished(self, result: StudyResult, attachments: Mapping[str, bytes | str] | None = None) -> None: ...

    def test_scored(self, score: TestScore) -> None: ...

    def log_model(self, model: Path, *, inputs: Array, outputs: Array) -> None: ...

    def view_url(self, timeout: float = 10.0) -> str | None:
        return None

    def flush(self, timeout: float = 10.0) -> bool:
        return True

    def close(self, timeout: float = 10.0) -> Delivery:
        return Delivery()


class _Nothing:
    keeps = False

    def open(self, uri: str | None, *, experiment: str, home: Path) -> Session:
        return _Session()

    def check(self, uri: str | None, *, home: Path) -> str | None:
        return None

    def runs(self, uri: str | None, *, experiment: str, home: Path, study_uid: str) -> tuple[StoredRun, ...]:
        return ()

    def audit(
        self, uri: str | None, *, experiment: str, home: Path, start: StudyStart, records: Iterable[TrialRecord]
    ) -> Audit:
        return Audit()

    def rebuild(
        self, uri: str | None, *, experiment: str, home: Path, start: StudyStart, result: StudyResult
    ) -> Delivery:
        return Delivery()

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
        raise SpecError(
            f"the study {start.name!r} is not tracked (tracking: {{enabled: false}}), so there is no store in which a "
            f"model could be registered. Its model as a file:  searchlab export {start.name}"
        )


TRACKER: Tracker = _Nothing()

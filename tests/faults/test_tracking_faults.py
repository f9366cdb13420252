"""What MLflow has after a leader was killed: the same as the storage.  Faults C6, C7, C12 through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_lab import Lab
from study_check import check_study

EMBEDDED = "tracking: {enabled: true}"


@pytest.mark.parametrize(
    "place", ["trial.sent", "trial.judged", "result.spooled", "result.told", "mlflow.sending", "mlflow.sent"]
)
def test_c6_c12_a_leader_that_is_killed_leaves_mlflow_nothing_to_miss(tmp_path: Path, place: str) -> None:
    lab = Lab(tmp_path, tracking=EMBEDDED)
    lab.script(seconds=0.1)
    try:
        assert lab.lead(fail=f"{place}:kill@2").wait() == -9
        lab.resume().wait()
        check_study(lab, 4)
    finally:
        lab.close()


@pytest.mark.parametrize("place", ["trial.judged", "result.told"])
def test_c6_sync_delivers_what_a_killed_leader_has_left(tmp_path: Path, place: str) -> None:
    lab = Lab(tmp_path, tracking=EMBEDDED)
    lab.script(seconds=0.1)
    try:
        assert lab.lead(fail=f"{place}:kill@2").wait() == -9
        assert lab.start("sync").wait() == 0
        lab.resume().wait()
        check_study(lab, 4)
    finally:
        lab.close()

"""One supervisor for each study and home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from searchlab.errors import StudyConflict
from searchlab.runner.lock import only_one

HOLD = """
import sys, time
from pathlib import Path
from searchlab.runner.lock import only_one
with only_one(Path(sys.argv[1]), "s"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_by_the_number_of_the_first(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(StudyConflict, match=str(holder.pid)), only_one(tmp_path, "s"):
            pass
        holder.kill()  # however the holder ends, the folder is free again
    with only_one(tmp_path, "s"):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_two_studies_do_not_mind_each_other(tmp_path: Path) -> None:
    with only_one(tmp_path / "a", "a"), only_one(tmp_path / "b", "b"):
        pass

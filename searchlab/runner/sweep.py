"""What the home folder holds and nobody needs: found, with its size and the reason, before anything is removed."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from searchlab.failpoints import failpoint
from searchlab.records import ENDED, StudyResult
from searchlab.runner import backbones, known
from searchlab.runner.best_weights import BestWeights
from searchlab.runner.home import Home, StudyFolder
from searchlab.runner.stored import read_study, stored_spec, study_names

UNFINISHED = 3600.0
"""Seconds without a change after which a file or a folder may be taken for left behind: others share the home."""

TRIAL = re.compile(r"trial-(\d+)\.")
WORKER = re.compile(r"worker-(\d+)")


@dataclass(frozen=True)
class Rubbish:
    """A file or a folder that can go."""

    path: Path
    reason: str
    bytes: int


def find(home: Home, storage: str | None = None) -> tuple[Rubbish, ...]:
    """What can go from `home`, judged by the studies of `storage` (None: the embedded one).

    Folders of studies that this storage does not know are left alone.  So are results, ledgers, models and reports.

    Raises:
        ServiceError: The storage cannot be reached.
    """
    found: list[Rubbish] = []
    for name in study_names(home, storage):
        folder = home.study(name)
        if folder.folder.is_dir():
            keep = stored_spec(name, home, storage).execution.keep_weights
            found += _of_study(folder, read_study(name, home, storage), keep)
    return (*found, *_unused_data(home), *_unused_backbones(home), *_unfinished(home))


def remove(rubbish: Iterable[Rubbish]) -> int:
    """Remove it; how many bytes that freed."""
    freed = 0
    for item in rubbish:
        if item.path.is_dir():
            shutil.rmtree(item.path, ignore_errors=True)
        else:
            item.path.unlink(missing_ok=True)
        freed += 0 if item.path.exists() else item.bytes
        failpoint("gc.removed")
    return freed


def _of_study(folder: StudyFolder, result: StudyResult, keep: int) -> Iterator[Rubbish]:
    ended = {record.trial.number for record in result.trials if record.state in ENDED}
    for path in _files(folder.checkpoints):
        if _trial_of(path) in ended:
            yield _rubbish(path, "the checkpoint of a trial that has ended")
    best = BestWeights(keep, result.objective.direction)
    best.remember(result.trials)
    wanted = {path.name for path in best.paths}
    for path in _files(folder.weights):
        if _trial_of(path) in ended and path.name not in wanted:
            yield _rubbish(path, f"weights of a trial that is not among the {max(1, keep)} best")
    for path in sorted(folder.logs.glob("worker-*")) if folder.logs.is_dir() else ():
        number = WORKER.fullmatch(path.name)
        if number is not None and not psutil.pid_exists(int(number[1])) and _age(path) > UNFINISHED:
            yield _rubbish(path, "logs of a worker that has left")


def _unused_data(home: Home) -> Iterator[Rubbish]:
    """Prepared examples that no study of this home was run on; they are prepared again when they are asked for."""
    used = set()
    for path in (home.folder / "studies").glob("*/data.json"):
        used.add(json.loads(path.read_text(encoding="utf-8"))["digest"])
    for part in ("data", "sealed", "features"):
        for path in sorted((home.folder / part).glob("*")):
            if path.is_dir() and path.name not in used and _age(path) > UNFINISHED:
                yield _rubbish(path, "examples that no study uses")
    for path in sorted(home.known.glob("*.json")):
        if known.digest_in(path) not in used and _age(path) > UNFINISHED:
            yield _rubbish(path, "a note on examples that no study uses")


def _unused_backbones(home: Home) -> Iterator[Rubbish]:
    used = set()
    for path in (home.folder / "studies").glob(f"*/{backbones.NOTED}"):
        used |= set(json.loads(path.read_text(encoding="utf-8")).values())
    for path in sorted((home.folder / backbones.FOLDER).glob("*")):
        if path.is_file() and path.name not in used and _age(path) > UNFINISHED:
            yield _rubbish(path, "a backbone that no study uses")


def _unfinished(home: Home) -> Iterator[Rubbish]:
    for path in sorted((home.folder / "studies").rglob(".tmp-*")):
        if _age(path) > UNFINISHED:
            yield _rubbish(path, "left behind by a process that died while it wrote")


def _rubbish(path: Path, reason: str) -> Rubbish:
    files = path.rglob("*") if path.is_dir() else (path,)
    return Rubbish(path, reason, sum(file.stat().st_size for file in files if file.is_file()))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("trial-*") if path.is_file())


def _trial_of(path: Path) -> int | None:
    number = TRIAL.match(path.name)
    return None if number is None else int(number[1])


def _age(path: Path) -> float:
    """Seconds since it, or what it holds, was last written to."""
    return time.time() - max(file.stat().st_mtime for file in (path, *path.rglob("*")))

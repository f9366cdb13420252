"""Studies that the storage has lost, made again from their folder on this machine: `study.json` and `results.jsonl`.

Someone deletes a study in a dashboard, or puts an older copy of the storage back.  The first file holds all that the
storage keeps of a study beside its trials, the second one what each trial was and came to.  Trials that were never
finished here (others trained them, or nobody) wait again, and choose the parameters that their numbers give.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchlab import atomic
from searchlab.errors import StudyConflict
from searchlab.failpoints import failpoint
from searchlab.records import ENDED
from searchlab.runner.home import Home, StudyFolder
from searchlab.runner.legacy import spool_of
from searchlab.runner.lock import only_one
from searchlab.runner.spool import Spool
from searchlab.search import leases
from searchlab.search.storage import parse, shown
from searchlab.search.study import Study


@dataclass(frozen=True)
class Restored:
    """What was done."""

    told: int
    """Results that the storage had not got."""
    waiting: int
    """Trials that wait to be trained."""


def note(study: Study, folder: StudyFolder) -> None:
    """Keep in the study's folder what `restore` makes it from."""
    content = {"storage": _place(study.url), "attributes": study.attributes()}
    atomic.write_text(folder.noted, json.dumps(content, indent=2) + "\n")


def refuse_anew(name: str, home: Home, storage: str | None) -> None:
    """Nothing, unless a study would be begun anew that this storage had, and has lost.

    Raises:
        StudyConflict: It would; the message says how to make it again.
    """
    url, folder = storage or home.storage_url, home.study(name)
    noted = _noted(folder.noted)
    if noted is None or noted["storage"] != _place(url) or name in Study.names(url):
        return
    count = sum(1 for _ in Spool(folder.folder, noted["attributes"]["definition"]["facts"].get("uid")).kept())
    if count:
        raise StudyConflict(
            f"the study {name!r} is no more in the storage {noted['storage']}: it was deleted there, or the storage "
            f"was. {count} results of it are kept in {folder.folder}. Make it again:  searchlab restore {name}  (to "
            "begin anew, remove that folder first, or give the study another name: --set study=NAME)"
        )


def restore(name: str, home: Home, storage: str | None) -> Restored:
    """Have the storage know again what this machine knows of the study `name`.  May be asked again at any time.

    Raises:
        StudyConflict: There is nothing on this machine; another study has the name; or somebody works on it.
        ServiceError: The storage cannot be reached.
    """
    folder = home.study(name)
    noted = _noted(folder.noted)
    if noted is None:
        raise StudyConflict(f"{folder.noted} is not there, so nothing of a study {name!r} is known on this machine")
    with only_one(folder.folder, name):
        with closing(Study.restore(storage or home.storage_url, name, noted["attributes"])) as study:
            failpoint("restore.made")
            study.work_as(leases.Owner.here().name)
            spool = spool_of(study, folder)
            study.replant({entry.result.trial: entry.trial for entry in spool.kept() if entry.trial is not None})
            failpoint("restore.planted")
            told = spool.tell(study)
            study.reap()
            waiting = sum(record.state not in ENDED for record in study.records())
    return Restored(len(told), waiting)


def _noted(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _place(url: str) -> str:
    return shown(parse(url))

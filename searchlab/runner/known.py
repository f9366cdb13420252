"""Data of before, found again by the fingerprint of their files: nothing is decoded, split or hashed anew.

    .searchlab/known/<sha256>.json      the digest of what was prepared from these files by these options

What is found is compared byte for byte with its own digests all the same; where it is not whole, or gone, the data are
read as if nothing were known.  Of the test part only its folder is looked for.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from searchlab import atomic
from searchlab.data import SOURCES, Recognized
from searchlab.data.digest import of_values
from searchlab.data.prepare import Prepared, load_prepared, load_search
from searchlab.errors import DataError
from searchlab.runner.check import Checked
from searchlab.runner.home import Home
from searchlab.spec import StudySpec

FORMAT = 1

log = logging.getLogger(__name__)


def note_of(spec: StudySpec, checked: Checked, home: Home) -> Path | None:
    """The file that says what was prepared from the data of `spec` as they lie there now; None for other sources.

    Raises:
        DataError: There are no such data.
    """
    source = SOURCES.get(spec.data.source.name)
    if not isinstance(source, Recognized):
        return None
    key = of_values(
        {
            "format": FORMAT,
            "folder": str(spec.folder.resolve()),
            "data": spec.resolved()["data"],
            "options": checked.source.model_dump(mode="json"),
            "fingerprint": source.fingerprint(checked.source, spec.folder),
        }
    )
    return home.known / f"{key}.json"


def recall(note: Path, home: Home) -> Prepared | None:
    """What `note` tells of, if it is there and whole."""
    digest = digest_in(note)
    prepared = by_digest(digest, home) if digest is not None else None
    return prepared if prepared is not None and Path(prepared.sealed_folder, "meta.json").exists() else None


def by_digest(digest: str, home: Home) -> Prepared | None:
    """What the home has under `digest`, if it is there and whole; the test rows need not be."""
    folder = home.folder / "data" / digest
    if not folder.exists():
        return None
    try:
        load_search(folder, check=True)
        return load_prepared(folder)
    except DataError as error:
        log.warning("prepared data are known, but not used: %s", error)
        return None


def digest_in(note: Path) -> str | None:
    """The digest of the data that `note` tells of; None where there is none, or it is damaged."""
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(note: Path, prepared: Prepared) -> None:
    """Write down that `prepared` is what `note` is asked for."""
    atomic.write_json(note, {"digest": prepared.digest})

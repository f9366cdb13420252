"""Backbones that are files: found from the study file's folder, kept in the home under their digest.

Why a copy: trials, their resume and the final test need the very bytes, and a file of one's own may be trained again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from searchlab import atomic
from searchlab.errors import DataError, nearest
from searchlab.models import FAMILIES, Staged, archive
from searchlab.models.naming import STUDY, named
from searchlab.runner.home import Home
from searchlab.space import Choice, Fixed
from searchlab.spec import StudySpec

FOLDER = "backbones"
"""Of the home: the copies."""

NOTED = "backbones.json"
"""Of a study's folder: what the study file calls each, and the name of its copy."""


def gather(spec: StudySpec, home: Home) -> dict[str, str]:
    """The backbones of `spec` that are files, as the study file has them, and as children find them.

    Raises:
        DataError: There is no such file, and none was kept when the study was begun; or it may not be opened.
    """
    texts = tuple(_texts(spec))
    if not texts:
        return {}
    noted = home.study(spec.name).folder / NOTED
    before: Mapping[str, str] = json.loads(noted.read_text(encoding="utf-8")) if noted.exists() else {}
    names = {text: _kept(text, spec, home, before.get(text)) for text in texts}
    if names != before:
        noted.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_json(noted, names)
    return {text: str(named(text).at(home.folder / FOLDER / name)) for text, name in names.items()}


def digests(files: Mapping[str, str]) -> dict[str, str]:
    """The SHA-256 of each of the gathered `files`, by what the study file calls it."""
    return {text: Path(named(here).which).name.partition(".")[0] for text, here in files.items()}


def _texts(spec: StudySpec) -> Iterator[str]:
    """Every value that a backbone may have and that names a file."""
    for parameter in spec.space.parameters:
        section, _, path = parameter.name.partition(".")
        family, _, option = path.partition(".")
        if section != "model" or option != "backbone" or not isinstance(FAMILIES.get(family), Staged):
            continue
        domain = parameter.domain
        values = domain.values if isinstance(domain, Choice) else (domain.value,) if isinstance(domain, Fixed) else ()
        yield from (value for value in values if isinstance(value, str) and named(value).file is not None)


def _kept(text: str, spec: StudySpec, home: Home, before: str | None) -> str:
    """The name of the copy of the file that `text` names, made where there is none."""
    name = named(text)
    assert name.file is not None
    source = home.study(name.which).champion if name.backbone == STUDY else spec.folder / name.file
    folder = home.folder / FOLDER
    if not source.is_file():
        if before is not None and (folder / before).is_file():
            return before
        if name.backbone == STUDY:
            raise DataError(
                f"the backbone {text!r} is the best model of the study {name.which!r}, which has none in "
                f"{home.folder}: run that study first."
            )
        near = nearest(source.name, sorted(one.name for one in source.parent.glob("*")))
        raise DataError(
            f"there is no file {source}, which the backbone {text!r} names.{near} Relative paths count from the folder "
            "of the study file; `searchlab export STUDY` writes a model that can be a backbone."
        )
    with source.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    copy = f"{digest}{''.join(source.suffixes[-2:])}"
    if not (folder / copy).exists():
        archive.look_at_weights(source)  # once, here, and not in each child alone
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write_with(folder / copy, lambda temporary: shutil.copyfile(source, temporary))
    return copy

"""Studies that the storage already holds, by name."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from searchlab.errors import StudyConflict, UnknownName
from searchlab.records import StudyResult
from searchlab.runner import admission
from searchlab.runner.home import Home
from searchlab.runner.outcome import result_of
from searchlab.runner.restore import refuse_anew
from searchlab.search.study import Study
from searchlab.space import Space
from searchlab.spec import StudySpec
from searchlab.spec.load import load_text

STORAGE = "SEARCHLAB_STORAGE"
"""The environment variable that says where studies are stored."""


def study_names(home: Home, storage: str | None) -> tuple[str, ...]:
    """The names of all studies, in the order of their creation."""
    return Study.names(storage or home.storage_url)


def open_study(name: str, home: Home, storage: str | None) -> Study:
    """The stored study `name`.

    Raises:
        UnknownName: There is none; the message lists those there are.
        StudyConflict: There is none any more, and this machine has results of it.
    """
    try:
        return Study.open(storage or home.storage_url, name)
    except UnknownName:
        refuse_anew(name, home, storage)
        raise


def read_study(name: str, home: Home, storage: str | None) -> StudyResult:
    """The stored study `name` as far as it has come."""
    with closing(open_study(name, home, storage)) as study:
        return result_of(study, home)


def stored_space(name: str, home: Home, storage: str | None) -> Space:
    """The space that the stored study `name` searches."""
    with closing(open_study(name, home, storage)) as study:
        return study.space


def stored_spec(name: str, home: Home, storage: str | None, *, overrides: tuple[str, ...] = ()) -> StudySpec:
    """The study file that `name` was run from, everything filled in, with `overrides` on top.

    Raises:
        StudyConflict: The study was stored without its file.
    """
    with closing(open_study(name, home, storage)) as study:
        facts = study.facts
    if "resolved" not in facts:
        raise StudyConflict(f"study {name!r} was stored without its study file; run it from the file instead")
    if storage is not None:
        overrides = (*overrides, "storage=null")  # what it names may not be set here
    text, folder = facts["resolved"], facts.get("folder")
    if not isinstance(text, str) or not isinstance(folder, str):
        raise StudyConflict(f"study {name!r} was stored without a study file that can be read")
    if folders := admission.roots():  # the evaluator of a team has this done, and trusts no file from the storage
        spec = admission.admitted(name, text, folders=folders, overrides=overrides)
    else:
        spec = load_text(text, file=f"study {name!r}", folder=Path(folder), overrides=overrides)
    return spec if storage is None else replace(spec, storage=storage, as_written=_written(spec, storage))


def _written(spec: StudySpec, storage: str) -> dict[tuple[str, ...], str]:
    """How the file has its values, with what says where the study is: the variable, where it comes from there."""
    is_given = os.environ.get(STORAGE) == storage
    return {**spec.as_written, ("storage",): f"${{{STORAGE}}}" if is_given else storage}

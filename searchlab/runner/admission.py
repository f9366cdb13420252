"""What a study of a team may name: the files that came with it, the team's data, and nothing of the machine itself.

The evaluator asks when a study is submitted, and what leads or ends one asks again: by then it comes from the storage,
where whoever has the workers' password can write, and the raw data, the seal and the passwords are the leader's own.
The folders come by an environment variable, since they are the evaluator's to say and not the storage's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from searchlab.config import MapNode
from searchlab.config.reader import read_text
from searchlab.errors import SpecError, StudyConflict
from searchlab.models.naming import STUDY, named
from searchlab.options import places
from searchlab.runner.check import check
from searchlab.runner.tracked import experiment_of
from searchlab.space import Choice, Fixed, Parameter
from searchlab.spec import StudySpec
from searchlab.spec.load import load_text
from searchlab.tracking.mlflow.inbox import PREFIX

ROOTS = "SEARCHLAB_ROOTS"
"""Environment variable: the folders of uploads and of the team's data, of a process that the evaluator has started."""

OURS = ("storage=${SEARCHLAB_STORAGE}", "tracking.uri=${SEARCHLAB_TRACKING}", "tracking.enabled=true")
"""Of each study of a team; the only environment variables that it may name."""

OF_OURS = frozenset({("storage",), ("tracking", "uri")})


def roots_of(uploads: Path, data: Path | None) -> str:
    """What ROOTS is for these folders."""
    return os.pathsep.join(str(root.absolute()) for root in (uploads, data) if root is not None)


def roots() -> tuple[Path, ...]:
    """The folders that this process was told of, the one of uploads first; none where it serves no team."""
    return tuple(map(Path, filter(None, os.environ.get(ROOTS, "").split(os.pathsep))))


def admitted(name: str, text: str, *, folders: Sequence[Path], overrides: tuple[str, ...] = ()) -> StudySpec:
    """The study file `text` of the study `name`, whose relative paths count from the first of `folders`.

    Raises:
        SpecError: It is none, or names what it must not.
        StudyConflict: It is another study's.
    """
    spec = read(name, text, folders=folders, overrides=overrides)
    if spec.name != name:
        raise StudyConflict(f"what is stored as the study {name!r} is the file of another, {spec.name!r}")
    return spec


def read(name: str, text: str, *, folders: Sequence[Path], overrides: tuple[str, ...] = ()) -> StudySpec:
    """As `admitted`, whatever the study in it is called.

    Raises:
        SpecError: It is no study file, or names what it must not.
    """
    node = read_text(text, f"study {name!r}")
    if not isinstance(node, MapNode) or not isinstance(node.items.get("space"), MapNode):
        raise SpecError("a study of a team has its space written out, and names no file for it")
    spec = load_text(text, file=f"study {name!r}", folder=folders[0], overrides=(*OURS, *overrides))
    confine(spec, folders)
    return spec


def confine(spec: StudySpec, folders: Sequence[Path]) -> None:
    """Nothing, when `spec` names no files but those below `folders`, and no environment variable but ours.

    Raises:
        SpecError: It does.
    """
    for path in spec.as_written:
        if path not in OF_OURS:
            raise SpecError(f"{'.'.join(path)}: a study of a team may name no environment variable")
    if experiment_of(spec).startswith(PREFIX):
        raise SpecError(f"tracking.experiment: a name that begins with {PREFIX!r} is an inbox, and no experiment")
    for option, value in places(check(spec).source).items():
        _confine(value, f"data.{option}", folders)
    for parameter in spec.space.parameters:
        if parameter.name.endswith(".backbone"):
            _refuse_files(parameter)


def _confine(value: str, what: str, folders: Sequence[Path]) -> None:
    path = (folders[0] / Path(value)).resolve()
    if not any(path.is_relative_to(root) and path != root for root in (folder.resolve() for folder in folders)):
        known = f"below {folders[1]}" if len(folders) > 1 else "sent along"
        raise SpecError(f"{what}: {value} is not the team's data. Allowed: files on your machine, or {known}.")


def _refuse_files(parameter: Parameter) -> None:
    domain = parameter.domain
    values = domain.values if isinstance(domain, Choice) else (domain.value,) if isinstance(domain, Fixed) else ()
    for value in values:
        if isinstance(value, str) and (name := named(value)).file is not None and name.backbone != STUDY:
            words = f"the file {value!r} cannot be sent to a team; study:NAME, a study of the team, can be named"
            raise SpecError(f"{parameter.name}: {words}")

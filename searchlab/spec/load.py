"""From a study file, its space file and the overrides of the command line to a `StudySpec`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from searchlab.config import MapNode, Node, ScalarNode
from searchlab.config.overrides import override, split
from searchlab.config.reader import read_file, read_text
from searchlab.errors import SpecError, SpecErrors
from searchlab.shipped import find
from searchlab.space.grammar import CountOf, depth_counts
from searchlab.spec import StudySpec
from searchlab.spec.build import build


def load_study(path: str | Path, overrides: Sequence[str] = (), *, count_of: CountOf = depth_counts) -> StudySpec:
    """The study in the file at `path`, or the shipped one of that name, with `overrides` ("search.trials=10") on top.

    `space:` may be a path that counts from the study file's folder, the name of a shipped space, or a mapping.

    Raises:
        SpecErrors: All faults of both files and the overrides, each with its place.
    """
    file = find(path)
    return _load(read_file(file), file.parent.absolute(), overrides, count_of)


def load_text(
    text: str,
    *,
    file: str = "study",
    folder: Path = Path(),
    overrides: Sequence[str] = (),
    count_of: CountOf = depth_counts,
) -> StudySpec:
    """The study that `text` describes, as `load_study` has it; `file` names it in marks."""
    return _load(read_text(text, file), folder, overrides, count_of)


def _load(node: Node, folder: Path, overrides: Sequence[str], count_of: CountOf) -> StudySpec:
    errors: list[SpecError] = []
    inside: list[str] = []
    for text in overrides:
        try:
            path, _ = split(text)
            if path[0] == "space" and len(path) > 1:
                inside.append(text)  # the space may have to be read first
            else:
                node = override(node, text)
        except SpecError as error:
            errors.append(error)
    try:
        node = _with_space(node, folder)
    except SpecError as error:
        errors.append(error)
        node = _without_space(node)
    for text in inside:
        try:
            node = override(node, text)
        except SpecError as error:
            errors.append(error)
    try:
        spec = build(node, folder=folder, count_of=count_of)
    except SpecError as error:
        raise SpecErrors([*errors, error]) from error
    if errors:
        raise SpecErrors(errors)
    return spec


def _with_space(node: Node, folder: Path) -> Node:
    """The study with the file that `space:` names read into its place."""
    if isinstance(node, MapNode) and "space" in node.items:
        space = node.items["space"]
        if isinstance(space, ScalarNode) and isinstance(space.value, str):
            file = find(space.value, kind="search_spaces", beside=folder, mark=space.mark)
            content = read_file(file, shown_as=_shown(file))
            return MapNode({**node.items, "space": content}, node.key_marks, node.mark)
    return node


def _shown(file: Path) -> str:
    """From the working directory when it lies below, so that a terminal's link opens it."""
    path = os.path.normpath(file.absolute())
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def _without_space(node: Node) -> Node:
    """The study with an empty space, so that its other faults are found too."""
    if isinstance(node, MapNode):
        empty = MapNode({}, {}, node.items["space"].mark)
        return MapNode({**node.items, "space": empty}, node.key_marks, node.mark)
    return node

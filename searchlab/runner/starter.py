"""A starter study for somebody's data: a file to read, correct and run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from searchlab.config.writer import to_yaml
from searchlab.data.sniff import Guess, sniff

SPACES = {
    "image_classification": "cnn",
    "tabular_classification": "mlp",
    "tabular_regression": "mlp",
    "sequence_classification": "rnn",
    "forecasting": "rnn",
}
"""The shipped space that suits each task."""

SPLITS = {"tabular_regression": "random", "forecasting": "time"}
"""Split rules other than by class."""

WINDOWED = {"sunspots": {"window": 22, "horizon": 1}, "co2": {"window": 52, "horizon": 1}}


def starter(data: str, *, folder: Path, target: str | None = None) -> str:
    """The text of a study file for `data` (a file, a folder or a source), to be written into `folder`.

    Raises:
        DataError: There is nothing of the kind, or it cannot be read.
        UnknownName: `target` is no column.
    """
    guess = sniff(data, target=target)
    rule = "given" if guess.is_parted else SPLITS.get(guess.task, "stratified")
    source: dict[str, Any] = {"source": guess.source, **_options(guess, folder)}
    notes = "".join(f"# {note}\n" for note in guess.notes)
    body = to_yaml(
        {
            "study": _name(data),
            "data": {**source, "split": {"by": rule, "validation": 0.2, "test": 0.2, "seed": 0}},
            "task": guess.task,
            "space": SPACES[guess.task],
            "search": {"sampler": "tpe", "pruner": "successive_halving", "trials": 30, "timeout": "30m"},
            "training": {"epochs": 20, "early_stopping": {"patience": 5}},
            "seed": 0,
        }
    )
    return f"""\
# yaml-language-server: $schema=study.schema.json      (searchlab schema -o study.schema.json)
#
# A starter study. Check it with `searchlab validate`, look at its space with `searchlab show`, run it with
# `searchlab run`. `space:` names a shipped space; copy one from search_spaces/ and give its path to change it.
# The test part (split.test) stays sealed until `searchlab final-test`.
{notes}{body}"""


def _options(guess: Guess, folder: Path) -> dict[str, Any]:
    options = dict(guess.options) | WINDOWED.get(guess.source, {})
    if "path" in options:
        options["path"] = os.path.relpath(options["path"], folder)
    return options


def _name(data: str) -> str:
    """A study name from the name of the data."""
    return (
        re.sub(r"[^a-zA-Z0-9]+", "-", Path(data).resolve().stem if "/" in data or "." in data else data).strip("-")
        or "study"
    )

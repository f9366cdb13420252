"""What a `.keras` file says of itself beside the network: what it takes, and what its outputs are called.

Keras's file has weights and layers, and neither names of classes nor of columns.  So the archive gets one more member,
`searchlab.json`, which whoever reads zip files and JSON can read; no code is run for it, and Keras looks past it.  Why
not a file beside the model: it is left behind when the model is copied.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from searchlab.data import SOURCES
from searchlab.data.prepare import Prepared
from searchlab.errors import DataError
from searchlab.models import archive
from searchlab.spec import StudySpec
from searchlab.tasks import Encoding

FORMAT = 1

READING = ("fit", "max_pixels", "separator", "encoding", "missing", "window", "stride", "group", "series", "x")
"""The options of a source that say how inputs are read; where they lay is left out."""


@dataclass(frozen=True)
class ModelCard:
    """How a model wants its inputs, and what comes out."""

    kind: str
    """Of its inputs, before anything is fitted: "images", "table", "series" or "tokens"."""
    classes: tuple[str, ...] | None
    """What each output is the probability of; None for values."""
    dtype: str = ""
    """Of the inputs, as training had them ("uint8")."""
    columns: tuple[str, ...] = ()
    """Of numbers, in their order."""
    category_columns: tuple[str, ...] = ()
    """Of words, which are encoded before the model."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Those of the data source that say how its files are read."""
    task: str = ""
    encoding: Mapping[str, Any] = field(default_factory=dict)
    """`Encoding.to_json()`."""
    study: str = ""
    trial: int | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values for `from_json`."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ModelCard:
        """The card whose `to_json` gave `content`.

        Raises:
            DataError: It was written by a later version, or by somebody else.
        """
        if content.get("format") != FORMAT:
            raise DataError(f"its card has format {content.get('format')!r}, and this version reads {FORMAT}")
        try:
            fields = {name: value for name, value in content.items() if name != "format"}
            tuples = {name: tuple(fields[name]) for name in ("columns", "category_columns")}
            classes = None if fields["classes"] is None else tuple(map(str, fields["classes"]))
            return cls(**{**fields, **tuples, "classes": classes})
        except (KeyError, TypeError) as error:
            raise DataError(f"its card cannot be read ({error})") from None


def card_of(spec: StudySpec, prepared: Prepared, encoding: Encoding, *, dtype: str, trial: int) -> ModelCard:
    """The card of a trial's model."""
    source = SOURCES.get(spec.data.source.name).Options(**spec.data.source.options).model_dump(mode="json")
    return ModelCard(
        kind=prepared.kind,
        classes=classes_of(encoding),
        dtype=dtype,
        columns=prepared.columns,
        category_columns=prepared.category_columns,
        options={name: source[name] for name in READING if name in source},
        task=spec.task,
        encoding=encoding.to_json(),
        study=spec.name,
        trial=trial,
    )


def classes_of(encoding: Encoding) -> tuple[str, ...] | None:
    """What each output of a model stands for, as the data has it; None for values."""
    decoded = encoding.decode(np.eye(encoding.problem.units, dtype=np.float32))
    return tuple(str(label) for label in decoded["label"].tolist()) if "label" in decoded else None


def put(path: Path, card: Mapping[str, Any]) -> None:
    """Add a card, as JSON values, to the `.keras` file at `path`."""
    member = zipfile.ZipInfo(archive.CARD)  # of 1980, so that equal models are equal files
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(member, json.dumps(card, indent=2, ensure_ascii=False))


def read(path: Path) -> ModelCard | None:
    """The card in the `.keras` file at `path`; None where it has none.

    Raises:
        DataError: It is no such file, or the card cannot be read.
    """
    content = archive.read_card(path)
    if content is None:
        return None
    try:
        return ModelCard.from_json(content)
    except DataError as error:
        raise DataError(f"{path}: {error.message}") from None

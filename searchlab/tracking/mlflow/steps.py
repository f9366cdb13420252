"""What is to be written, as steps: each is plain data, may be done twice without harm, and fits in a line of JSON.

Between records and MLflow stands this small language, so that what is written can be tested without a store, and
what is not written yet lies in a file and can be done later (`journal`).
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid5

Kind: TypeAlias = Literal[
    "session", "experiment", "begin", "resume", "metrics", "params", "tags", "inputs", "file", "model", "end"
]

_NAMESPACE = UUID("6f0a3c52-5f1e-4d67-9a3f-0c3d8f6b2a10")  # ours, drawn once; changing it orphans every stored run


@dataclass(frozen=True)
class Step:
    """One thing to write.

    session     nothing to write: id, leads say whose steps follow
    experiment  tags: tags of the experiment
    begin       name, tags, parent (a run's uid or None): find the run or create it; awaits: leave that to its leader
    resume      let a run that had ended run again; session: who leads it now
    metrics     step, values; `at` is when they were measured
    params      values; tags: values; inputs: datasets
    file        path, and text or base64
    model       path, sha256, name, inputs, outputs: store the best model
    end         status, state; only_running: leave a run alone that has ended; only_of: or that another session leads
    """

    kind: Kind
    run: str
    """The uid of the run it belongs to."""
    at: float
    """Seconds since 1970."""
    body: Mapping[str, Any] = field(default_factory=dict)


def run_uid(study_uid: str, number: int | None = None, attempt: int = 1) -> str:
    """The name for ever of a trial's attempt, or of the study's own run when `number` is None."""
    path = f"{study_uid}/study" if number is None else f"{study_uid}/{number}/{attempt}"
    return str(uuid5(_NAMESPACE, path))


def file_step(run: str, at: float, path: str, content: bytes | str) -> Step:
    """The step that stores `content` under `path`."""
    if isinstance(content, str):
        return Step("file", run, at, {"path": path, "text": content})
    return Step("file", run, at, {"path": path, "base64": base64.b64encode(content).decode()})


def content_of(step: Step) -> bytes:
    """The content of a `file` step."""
    text = step.body.get("text")
    return str(text).encode() if text is not None else base64.b64decode(step.body["base64"])


def to_line(step: Step) -> bytes:
    """One line of JSON behind its checksum."""
    row = {"kind": step.kind, "run": step.run, "at": step.at, "body": dict(step.body)}
    content = json.dumps(row, separators=(",", ":"), sort_keys=True).encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def from_line(line: bytes) -> Step:
    """The step of a line that `to_line` made.

    Raises:
        ValueError: It was damaged since.
    """
    checksum, _, content = line.rstrip(b"\n").partition(b" ")
    if int(checksum, 16) != zlib.crc32(content):
        raise ValueError("its checksum is another")
    row = json.loads(content)
    return Step(row["kind"], row["run"], row["at"], row["body"])

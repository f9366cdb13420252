"""What is to be written, as steps: each is plain data, may be done twice without harm, and fits in a line of JSON.

Between records and MLflow stands this small language, so that what is written can be tested without a store, and
what could not be written can be kept in a file and done later (`from_line`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid5

Kind: TypeAlias = Literal["experiment", "begin", "resume", "metrics", "params", "tags", "inputs", "file", "end"]

_NAMESPACE = UUID("6f0a3c52-5f1e-4d67-9a3f-0c3d8f6b2a10")  # ours, drawn once; changing it orphans every stored run


@dataclass(frozen=True)
class Step:
    """One thing to write.

    experiment  tags: tags of the experiment
    begin       name, tags, parent (a run's uid or None): find the run or create it
    resume      let a run that had ended run again
    metrics     step, values; `at` is when they were measured
    params      values; tags: values; inputs: datasets
    file        path, and text or base64
    end         status, state; only_running: leave a run alone that has ended already
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


def to_line(step: Step, experiment: str) -> str:
    """One line of JSON, with the name of the experiment it belongs to."""
    row = {"experiment": experiment, "kind": step.kind, "run": step.run, "at": step.at, "body": dict(step.body)}
    return json.dumps(row, separators=(",", ":"), sort_keys=True)


def from_line(line: str) -> tuple[Step, str]:
    """The step of a line that `to_line` made, and its experiment."""
    row = json.loads(line)
    return Step(row["kind"], row["run"], row["at"], row["body"]), row["experiment"]

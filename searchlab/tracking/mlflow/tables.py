"""Whole trials written straight into the tables of the embedded store, all of a batch in one transaction.

Why, where everything else goes through `MlflowClient`: its seven calls for a trial take 40 to 50 ms of processor time
(each opens a session, looks up the run and commits), as long as a fused engine trains; here a trial takes one.  Only
trials that began and ended within one batch are written so, only into an SQLite file whose tables are exactly those
known here, and never over a run that exists; all others go the ordinary way.  A test writes one study both ways and
compares what MLflow reads.  When MLflow changes its tables, the ordinary way is taken until FINGERPRINTS knows them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from searchlab import urls
from searchlab.tracking.mlflow import words
from searchlab.tracking.mlflow.steps import Step, content_of

FINGERPRINTS = frozenset({"40577130bea9c649"})
"""Hashes of the tables below and of the schema's version, as MLflow 3.17.2 makes them."""

TABLES = ("runs", "tags", "params", "metrics", "latest_metrics", "datasets", "inputs", "input_tags", "experiments")
PATIENCE = 20.0
"""Seconds to wait for another writer of the file."""


@dataclass(frozen=True)
class Whole:
    """All that there is to say of one trial's run."""

    uid: str
    name: str
    parent: str
    """The uid of the study's run."""
    status: str
    start: int
    """Milliseconds since 1970, like `end`."""
    end: int
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: Mapping[tuple[str, int], tuple[float, int]]
    """(metric, step) to (value, milliseconds)."""
    sets: Sequence[Mapping[str, Any]]
    description: str
    files: Mapping[str, bytes]


def whole(steps: Sequence[Step]) -> Whole | None:
    """The trial that `steps` (of one run) tell from beginning to end; None when they tell anything else."""
    if len(steps) < 2 or steps[0].kind != "begin" or steps[-1].kind != "end":
        return None
    first, last = steps[0], steps[-1]
    if first.body["parent"] is None or last.body.get("only_running"):
        return None
    tags, params, files = dict(first.body["tags"]), dict[str, str](), dict[str, bytes]()
    points: dict[tuple[str, int], tuple[float, int]] = {}
    sets: Sequence[Mapping[str, Any]] = ()
    description = ""
    for step in steps[1:-1]:
        match step.kind:
            case "metrics":
                for key, value in step.body["values"].items():
                    points.setdefault((key, step.body["step"]), (value, int(step.at * 1000)))
            case "params":
                params |= step.body["values"]
            case "tags":
                tags |= step.body["values"]
            case "inputs":
                sets, description = step.body["sets"], step.body["description"]
            case "file":
                files[step.body["path"]] = content_of(step)
            case _:
                return None
    if any(Path(path).is_absolute() or ".." in Path(path).parts for path in files):
        return None
    return Whole(
        uid=first.run,
        name=first.body["name"],
        parent=first.body["parent"],
        status=last.body["status"],
        start=int(first.at * 1000),
        end=int(last.at * 1000),
        tags=tags,
        params=params,
        points=points,
        sets=sets,
        description=description,
        files=files,
    )


def are_known(uri: str) -> bool:
    """Whether the store at `uri` is a file whose tables may be written here."""
    if not uri.startswith(urls.SQLITE):
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{urls.file_of(uri).as_uri()}?mode=ro", uri=True)) as database:
            return fingerprint(database) in FINGERPRINTS
    except (sqlite3.Error, ValueError):
        return False


def fingerprint(database: sqlite3.Connection) -> str:
    """A hash of the columns and triggers of the tables that are written, and of the schema's version.

    Why not of the SQL that made them: MLflow's migrations write equal constraints in another order every time.
    """
    columns = [(table, database.execute(f"PRAGMA table_info({table})").fetchall()) for table in TABLES]
    triggers = database.execute(
        "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger' ORDER BY 1, 2"
    ).fetchall()
    version = database.execute("SELECT version_num FROM alembic_version").fetchall()
    return hashlib.sha256(json.dumps([columns, triggers, version]).encode()).hexdigest()[:16]


def write(uri: str, experiment_id: str, trials: Sequence[Whole], parents: Mapping[str, str]) -> Mapping[str, str]:
    """Write those `trials` whose runs are not there yet; MLflow's ids of the written ones by uid.

    `parents` has MLflow's id of each study's run.

    Raises:
        sqlite3.Error: Nothing was written.
    """
    experiment = int(experiment_id)
    with contextlib.closing(sqlite3.connect(urls.file_of(uri), timeout=PATIENCE, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = NORMAL")  # as durable as the tracking of a study needs to be
        database.execute("BEGIN IMMEDIATE")
        place, stage = database.execute(
            "SELECT artifact_location, lifecycle_stage FROM experiments WHERE experiment_id = ?", (experiment,)
        ).fetchone()
        if stage != "active" or not place.startswith("file://"):
            return {}
        present = {
            row[0]
            for part in range(0, len(trials), 500)
            for row in database.execute(
                "SELECT value FROM tags WHERE key = 'searchlab.run_uid' AND value IN "
                f"({','.join('?' * len(trials[part : part + 500]))})",
                [trial.uid for trial in trials[part : part + 500]],
            )
        }
        new = {trial.uid: (uuid.uuid4().hex, trial) for trial in trials if trial.uid not in present}
        folders = {run: f"{place.rstrip('/')}/{run}/artifacts" for run, _ in new.values()}
        for run, trial in new.values():
            _insert(database, experiment, run, folders[run], trial, parents[trial.parent])
        database.execute("COMMIT")
    for run, trial in new.values():
        folder = Path(unquote(urlsplit(folders[run]).path))
        for path, content in trial.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    return {uid: run for uid, (run, _) in new.items()}


def _insert(database: sqlite3.Connection, experiment: int, run: str, folder: str, trial: Whole, parent: str) -> None:
    """What MLflow's `create_run`, `log_batch`, `log_inputs` and `set_terminated` leave behind."""
    name = trial.name[: words.MAX_KEY]
    database.execute(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, "
        "end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
        "VALUES (?, ?, 'UNKNOWN', '', '', 'unknown', ?, ?, ?, '', 'active', ?, ?)",
        (run, name, trial.status, trial.start, trial.end, folder, experiment),
    )
    tags = {
        **trial.tags,
        "mlflow.parentRunId": parent,
        "searchlab.run_uid": trial.uid,
        "mlflow.source.name": "searchlab",
        "mlflow.source.type": "LOCAL",
        "mlflow.runName": name,
    }
    database.executemany(
        "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", [(key, value, run) for key, value in tags.items()]
    )
    database.executemany(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
        [(key, value, run) for key, value in trial.params.items()],
    )
    database.executemany(
        "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
        [(key, value, at, run, step) for (key, step), (value, at) in trial.points.items()],
    )
    latest: dict[str, tuple[int, int, float]] = {}
    for (key, step), (value, at) in trial.points.items():
        latest[key] = max(latest.get(key, (step, at, value)), (step, at, value))
    database.executemany(
        "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, 0, ?)",
        [(key, value, at, step, run) for key, (step, at, value) in latest.items()],
    )
    for one in trial.sets:
        edge = uuid.uuid4().hex
        database.execute(
            "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id, step) "
            "VALUES (?, 'DATASET', ?, 'RUN', ?, 0)",
            (edge, _dataset(database, experiment, one, trial.description), run),
        )
        database.execute("INSERT INTO input_tags VALUES (?, 'mlflow.data.context', ?)", (edge, one["context"]))


def _dataset(database: sqlite3.Connection, experiment: int, one: Mapping[str, Any], description: str) -> str:
    """The id of a data set, which is made when it is new."""
    name, digest = one["name"][:500], one["digest"][:36]
    found = database.execute(
        "SELECT dataset_uuid FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?",
        (experiment, name, digest),
    ).fetchone()
    if found:
        return str(found[0])
    made = uuid.uuid4().hex
    profile = json.dumps({"num_rows": one["rows"], "description": description})
    database.execute(
        "INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source, "
        "dataset_profile) VALUES (?, ?, ?, ?, 'local', ?, ?)",
        (made, experiment, name, digest, json.dumps({"uri": one["name"]}), profile),
    )
    return made

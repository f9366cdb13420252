"""Writing steps to MLflow: through `MlflowClient` with explicit run ids, each step safe to do twice.

Why no fluent API and no autolog: both keep a global current run, which parallel trials would fight over, and autolog
writes a model for every trial.  Runs are found by the tag `searchlab.run_uid` before one is created, so a reply that
was lost or a study that is resumed never makes a second run; points of a metric that a found run already has at the
same step are left out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

from searchlab import atomic, urls
from searchlab.failpoints import failpoint
from searchlab.lazy import lazy
from searchlab.plain import printable
from searchlab.records import ENDED
from searchlab.tracking import StoredRun
from searchlab.tracking.mlflow import champion, places, tables, template
from searchlab.tracking.mlflow.steps import Step, content_of

if TYPE_CHECKING:
    import mlflow
    import mlflow.entities as entities
else:
    mlflow = lazy("mlflow")
    entities = lazy("mlflow.entities")

log = logging.getLogger(__name__)

METRICS, OTHERS = 1000, 100  # most in one log_batch; mlflow/utils/validation.py

HOPELESS = frozenset(
    {
        "INVALID_PARAMETER_VALUE",
        "RESOURCE_DOES_NOT_EXIST",
        "RESOURCE_ALREADY_EXISTS",
        "BAD_REQUEST",
        "INVALID_STATE",
        "FEATURE_DISABLED",
        "NOT_IMPLEMENTED",
    }
)
"""Error codes that no later attempt will mend."""
TOO_LARGE = 413


AWAITED = 60.0
"""Seconds after which one who does not lead a study makes its run, where the leader has not."""


Done: TypeAlias = dict[int, str | None]
"""What was done of some steps, by their `id`; the reason of those that were refused."""


class Refused(Exception):
    """A step that can never be written."""


class NotYet(Exception):
    """A step that another process has to do something for first."""


def _is_hopeless(error: Exception) -> bool:
    """Whether no later attempt will mend it: MLflow itself said so, or what stands before it, of the size."""
    if isinstance(error, Refused):
        return True
    answer = getattr(error, "response", None)  # of an upload
    if getattr(answer, "status_code", None) == TOO_LARGE or f"error code {TOO_LARGE}" in str(error):
        return True
    is_plain = "Response body" in str(error)  # no answer of MLflow, but of what stands before it
    return isinstance(error, mlflow.exceptions.MlflowException) and error.error_code in HOPELESS and not is_plain


class Store:
    """An experiment in an MLflow store; made in the thread that uses it."""

    def __init__(self, uri: str, *, experiment: str, home: Path) -> None:
        places.make_polite()
        self.uri = uri
        if uri.startswith("sqlite"):
            home.mkdir(parents=True, exist_ok=True)
        with _alone(home, uri) as is_new:
            self.client = mlflow.MlflowClient(tracking_uri=uri)
            if is_new:
                self.client.search_experiments(max_results=1)  # makes the tables
                template.keep(urls.file_of(uri))
            self.experiment_id = self._experiment(experiment, places.artifact_folder(uri, home))
        self._ids: dict[str, str] = {}
        self._found: set[str] = set()
        self._steps: dict[tuple[str, str], set[int]] = {}
        self._knows_tables = tables.are_known(uri)

    @staticmethod
    def ask(uri: str) -> None:
        """One cheap question that reaches the server's database, as `/health` does not; raises when unanswered."""
        places.make_polite()
        mlflow.MlflowClient(tracking_uri=uri).search_experiments(max_results=1)

    def write(self, steps: Sequence[Step], done: Done | None = None) -> list[tuple[Step, str]]:
        """Do all `steps`, those of one run together; returns those that were refused for good, and why.

        What is in `done` is left out, and what was done is added: a store that fails now and then is got the better of.

        Raises:
            Exception: Whatever says that the store is out of reach; then the same `steps` may be tried again.
        """
        failpoint("mlflow.sending")
        done = {} if done is None else done
        by_run: dict[str, list[Step]] = {}
        for step in steps:
            if id(step) not in done:
                by_run.setdefault(step.run, []).append(step)
        wholes = {run: trial for run, mine in by_run.items() if (trial := self._whole(mine)) is not None}
        for run, mine in by_run.items():
            if run not in wholes:
                self._write_run(mine, done)
        written = self._write_whole(list(wholes.values())) if wholes else {}
        for run in wholes:
            if run in written:
                done.update(dict.fromkeys(map(id, by_run[run])))
            else:
                self._write_run(by_run[run], done)
        failpoint("mlflow.sent")
        return [(step, reason) for step in steps if (reason := done[id(step)]) is not None]

    def _whole(self, steps: Sequence[Step]) -> tables.Whole | None:
        return tables.whole(steps) if self._knows_tables and steps[0].run not in self._ids else None

    def _write_whole(self, trials: Sequence[tables.Whole]) -> Mapping[str, str]:
        """Write trials at once, as far as that can be done; the ids of those that were written."""
        parents = {uid: run for uid in {trial.parent for trial in trials} if (run := self.run_id(uid)) is not None}
        try:
            found = [trial for trial in trials if trial.parent in parents]
            written = tables.write(self.uri, self.experiment_id, found, parents)
        except sqlite3.Error as error:
            log.debug("trials are written one by one: %s", error)
            return {}
        self._ids.update(written)
        return written

    def _write_run(self, steps: Sequence[Step], done: Done) -> None:
        for is_row, some in groupby(steps, lambda step: step.kind in ("metrics", "params", "tags")):
            chunk = list(some)
            for piece in [chunk] if is_row else [[step] for step in chunk]:
                refused = {id(step): reason for step, reason in self._try(piece)}
                done.update({id(step): refused.get(id(step)) for step in piece})

    def run_id(self, uid: str) -> str | None:
        """MLflow's id of the run `uid`; None when there is none."""
        if uid not in self._ids:
            found = self._search(f"tags.`searchlab.run_uid` = '{uid}'", 1)
            if not found:
                return None
            self._ids[uid] = found[0].info.run_id
            self._found.add(uid)
        return self._ids[uid]

    def delete(self, uid: str) -> None:
        """Delete every run that bears the uid; MLflow can restore them."""
        for run in self._search(f"tags.`searchlab.run_uid` = '{uid}'"):
            self.client.delete_run(run.info.run_id)
        self._ids.pop(uid, None)

    def runs(self, study_uid: str) -> tuple[StoredRun, ...]:
        """Every run of a study, its own first."""
        found = [self._stored(run) for run in self._search(f"tags.`searchlab.study_uid` = '{study_uid}'")]
        place = {"study": -1, "trial": 0}
        return tuple(
            sorted(
                found,
                key=lambda run: (
                    place.get(run.tags.get("searchlab.kind", ""), 1),
                    int(run.tags.get("searchlab.trial", "0")),
                    int(run.tags.get("searchlab.attempt", "0")),
                ),
            )
        )

    def _try(self, steps: Sequence[Step]) -> list[tuple[Step, str]]:
        try:
            if steps[0].kind in ("metrics", "params", "tags"):
                self._write_rows(steps)
            else:
                getattr(self, f"_do_{steps[0].kind}")(steps[0])
        except Exception as error:
            if not _is_hopeless(error):
                raise
            if len(steps) > 1:
                return [lost for step in steps for lost in self._try([step])]
            return [(steps[0], printable(str(error))[:300])]
        return []

    def _write_rows(self, steps: Sequence[Step]) -> None:
        uid = steps[0].run
        run = self._known(uid)
        fresh: dict[tuple[str, int], entities.Metric] = {}
        for step in steps:
            for key, value in step.body["values"].items() if step.kind == "metrics" else ():
                at = step.body["step"]
                if not self._has(uid, key, at):
                    fresh.setdefault((key, at), entities.Metric(key, value, int(step.at * 1000), at))
        points = list(fresh.values())
        params = [
            entities.Param(k, v) for step in steps if step.kind == "params" for k, v in step.body["values"].items()
        ]
        named = {k: v for step in steps if step.kind == "tags" for k, v in step.body["values"].items()}
        tags = [entities.RunTag(k, self._here(v)) for k, v in named.items()]
        while points or params or tags:
            self.client.log_batch(run, points[:METRICS], params[:OTHERS], tags[:OTHERS])
            points, params, tags = points[METRICS:], params[OTHERS:], tags[OTHERS:]
        for key, at in fresh:
            if (uid, key) in self._steps:
                self._steps[uid, key].add(at)

    def _do_session(self, step: Step) -> None:
        """Only for those who read journals."""

    def _do_experiment(self, step: Step) -> None:
        for key, value in step.body["tags"].items():
            self.client.set_experiment_tag(self.experiment_id, key, value)

    def _do_begin(self, step: Step) -> None:
        tags = dict(step.body["tags"])
        parent = step.body["parent"]
        run = self.run_id(step.run)
        if run is not None:
            self._found.add(step.run)  # also what was made here: another session's steps may come after it
            if not step.body.get("awaits"):
                self._begin_again(run, tags, is_trial=parent is not None)
            return
        if step.body.get("awaits") and time.time() - step.at < AWAITED:
            raise NotYet("whoever leads the study has not made its run yet")
        if parent is not None:
            tags["mlflow.parentRunId"] = self._known(parent)
        tags = {key: self._here(value) for key, value in tags.items()}
        tags |= {"searchlab.run_uid": step.run, "mlflow.source.name": "searchlab", "mlflow.source.type": "LOCAL"}
        created = self.client.create_run(self.experiment_id, int(step.at * 1000), tags, step.body["name"])
        self._ids[step.run] = created.info.run_id
        if parent is None:
            self._be_one(step.run)

    def _begin_again(self, run: str, tags: dict[str, str], *, is_trial: bool) -> None:
        state = self.client.get_run(run).data.tags.get("searchlab.state")
        for name in ("mlflow.note.content", "searchlab.led_by"):
            tags.pop(name, None)
        if not is_trial or state in ENDED:
            tags.pop("searchlab.state", None)
        else:
            self.client.update_run(run, "RUNNING")
        self.client.log_batch(run, tags=[entities.RunTag(key, value) for key, value in tags.items()])

    def _be_one(self, uid: str) -> None:
        """Of the runs that several processes have made for a study in the same instant, use the first alone."""
        made = self._search(f"tags.`searchlab.run_uid` = '{uid}'")
        if len(made) > 1:
            first = min(made, key=lambda run: (run.info.start_time, run.info.run_id)).info.run_id
            if first != self._ids[uid]:
                self.client.delete_run(self._ids[uid])
                self._ids[uid] = first
                self._found.add(uid)

    def _do_resume(self, step: Step) -> None:
        run = self._known(step.run)
        if step.run in self._found:
            ended = self.client.get_run(run).info.end_time
            if ended is not None and ended > step.at * 1000:  # by a later leader: this comes from one that was killed
                return
            self.client.update_run(run, "RUNNING")
            tags = {"searchlab.state": "running", "searchlab.led_by": step.body.get("session", "")}
            self.client.log_batch(run, tags=[entities.RunTag(key, value) for key, value in tags.items()])

    def _do_model(self, step: Step) -> None:
        champion.write_model(self.client, self._known(step.run), step)

    def _do_inputs(self, step: Step) -> None:
        datasets = []
        for one in step.body["sets"]:
            profile = json.dumps({"num_rows": one["rows"], "description": step.body["description"]})
            source = json.dumps({"uri": one["name"]})
            data = entities.Dataset(one["name"][:500], one["digest"][:36], "local", source, profile=profile)
            datasets.append(entities.DatasetInput(data, [entities.InputTag("mlflow.data.context", one["context"])]))
        self.client.log_inputs(self._known(step.run), datasets)

    def _do_file(self, step: Step) -> None:
        path = Path(step.body["path"])
        if _leaves(step.body["path"]):
            raise Refused(f"{step.body['path']!a} leaves the run's folder")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, path.name)
            file.write_bytes(content_of(step))
            folder_name = None if path.parent == Path(".") else path.parent.as_posix()
            self.client.log_artifact(self._known(step.run), str(file), folder_name)

    def _do_end(self, step: Step) -> None:
        run = self.run_id(step.run)
        is_only_running = step.body.get("only_running", False)
        if run is None and is_only_running:
            return
        run = self._known(step.run)
        if step.run in self._found or is_only_running:
            stored = self.client.get_run(run)
            is_over = stored.info.status != "RUNNING"
            if is_over and (is_only_running or stored.info.status == step.body["status"]):
                return
            leader = step.body.get("only_of")
            if leader is not None and stored.data.tags.get("searchlab.led_by") != leader:
                return
            if is_only_running:
                self.client.set_tag(run, "searchlab.state", step.body["state"])
        self.client.set_terminated(run, step.body["status"], int(step.at * 1000))

    def _known(self, uid: str) -> str:
        run = self.run_id(uid)
        if run is None:
            raise Refused(f"there is no run {uid}")
        return run

    def _here(self, text: str) -> str:
        return text.replace(places.EXPERIMENT, self.experiment_id)

    def _has(self, uid: str, key: str, step: int) -> bool:
        if uid not in self._found:
            return False
        if (uid, key) not in self._steps:
            history = self.client.get_metric_history(self._ids[uid], key)
            self._steps[uid, key] = {point.step for point in history}
        return step in self._steps[uid, key]

    def _experiment(self, name: str, folder: str | None) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self.client.create_experiment(name, folder))
            except mlflow.exceptions.MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self.client.get_experiment_by_name(name)  # another process was faster
        if found.lifecycle_stage != "active":
            raise PermissionError(f"the experiment {name!r} was deleted in MLflow; restore it or name another one")
        return str(found.experiment_id)

    def _search(self, condition: str, most: int | None = None) -> list[entities.Run]:
        found: list[entities.Run] = []
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], condition, max_results=most or 1000, page_token=token)
            found += page
            token = page.token
            if not token or (most is not None and len(found) >= most):
                return found

    def _stored(self, run: entities.Run) -> StoredRun:
        metrics: Mapping[str, Sequence[tuple[int, float]]] = {
            key: sorted((point.step, point.value) for point in self.client.get_metric_history(run.info.run_id, key))
            for key in run.data.metrics
        }
        tags: dict[str, Any] = run.data.tags
        return StoredRun(
            tags.get("searchlab.run_uid", ""), run.info.run_name, run.info.status, run.data.params, metrics, tags
        )


def _leaves(path: str) -> bool:
    """Whether `path`, as it is or as a server may decode it once or twice, names something outside of its folder."""
    while True:
        parts = path.replace("\\", "/").split("/")
        if not path or path.startswith(("/", "\\")) or ".." in parts or not path.isprintable():
            return True
        decoded = unquote(path)
        if decoded == path:
            return False
        path = decoded


@contextlib.contextmanager
def _alone(home: Path, uri: str) -> Iterator[bool]:
    """Only one process at a time makes the schema of an SQLite store; two would break it (hydraflow#245).

    Gives whether MLflow will have to make it now.
    """
    if not uri.startswith(urls.SQLITE):
        yield False
        return
    with atomic.alone(home / "mlflow.lock"):
        file = urls.file_of(uri)
        file.parent.mkdir(parents=True, exist_ok=True)
        is_new = not template.copy_to(file) and not (file.exists() and file.stat().st_size)
        with contextlib.closing(sqlite3.connect(file, timeout=20)) as database:
            database.execute("PRAGMA journal_mode=WAL")  # readers (the UI) and the writer do not wait for each other
        yield is_new

"""How a team's laptops reach its evaluator: requests are runs of an experiment that MLflow lets one user write to.

So there is one address, one user name and one password for the pages and for submitting, and no service of ours that
listens.  Who asks is known from whose inbox it lies in: others may not write there, nor read (what is uploaded holds
test examples).  A request is a run with tags; its files are artifacts, which are deleted once they were taken.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from searchlab.errors import ServiceError, SpecError
from searchlab.lazy import lazy
from searchlab.plain import printable
from searchlab.redact import redacted
from searchlab.tracking.mlflow import places
from searchlab.tracking.mlflow.accounts import Accounts

if TYPE_CHECKING:
    import mlflow
    import mlflow.artifacts as artifacts
    import mlflow.entities as entities
    import mlflow.store.artifact.artifact_repository_registry as repositories
    import mlflow.utils.credentials as known
else:
    mlflow = lazy("mlflow")
    artifacts = lazy("mlflow.artifacts")
    entities = lazy("mlflow.entities")
    repositories = lazy("mlflow.store.artifact.artifact_repository_registry")
    known = lazy("mlflow.utils.credentials")

STUDY_FILE = "study.yaml"
"""What the file of a submitted study is called."""

PREFIX = "inbox "
"""Of the names of inboxes; the user's name follows."""

HERE = "{server}"
"""In answers: the address of the server, as whoever reads them knows it."""

MAKING = 15.0
"""Seconds within which a new user has an inbox."""

LONGEST = 5000
"""Characters of a tag."""

Stage: TypeAlias = Literal["asking", "writing", "waiting", "taken", "refused", "running", "ended"]
"""asking: which files shall be sent? · writing: these · waiting: all is sent · taken, running: of what goes on ·
refused, ended: nothing more comes."""

OVER: frozenset[Stage] = frozenset({"refused", "ended"})


@dataclass(frozen=True)
class Request:
    """What a user asks for."""

    id: str
    user: str
    stage: Stage
    kind: str
    """ "run", "final-test", …"""
    study: str
    details: Mapping[str, Any]
    """JSON values."""


@dataclass(frozen=True)
class Answer:
    """What the evaluator says of a request by now."""

    stage: Stage
    content: Mapping[str, Any]
    """JSON values; `words` is for people."""


class Inboxes:
    """The evaluator's side: the inboxes of all users of the server at `uri`."""

    def __init__(self, uri: str) -> None:
        places.make_polite()
        self._uri = uri
        self._accounts = Accounts(uri)
        self._client = mlflow.MlflowClient(tracking_uri=uri)
        self._ids: dict[str, str] = {}
        self._closed: set[tuple[str, str]] = set()

    def make(self, *, without: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """An inbox for each user who has none, closed to all others; the users' names.

        Raises:
            ServiceError: The server cannot be reached, or does not let this user do that.
        """
        with places.reaching(self._uri):
            names = self._accounts.names()
            users = [name for name in names if name not in without and name.isprintable()]
            for user in users:
                if user not in self._ids:
                    self._ids[user] = _experiment(self._client, PREFIX + user)
                    self._accounts.let(user, "EDIT", self._ids[user])
                for other in names:
                    if other != user and (user, other) not in self._closed:
                        self._accounts.let(other, "DENY", self._ids[user])
                        self._closed.add((user, other))
            return tuple(users)

    def open_to(self, user: str, experiment: str) -> None:
        """Let `user` write to an experiment, which is made where there is none."""
        with places.reaching(self._uri):
            self._accounts.let(user, "EDIT", _experiment(self._client, experiment))

    def add(self, user: str, password: str) -> bool:
        """See `Accounts.add`."""
        return self._accounts.add(user, password)

    def requests(self) -> tuple[Request, ...]:
        """Those that nobody has looked at, the oldest first."""
        return self._found("tags.`searchlab.turn` = 'evaluator'")

    def running(self) -> tuple[Request, ...]:
        """Those that somebody has begun and not ended, but for studies, which the queue knows."""
        return self._found("tags.`searchlab.stage` = 'running' AND tags.`searchlab.request` != 'run'")

    def _found(self, where: str) -> tuple[Request, ...]:
        if not self._ids:
            return ()
        owners = {experiment: user for user, experiment in self._ids.items()}
        with places.reaching(self._uri):
            runs = self._client.search_runs(list(owners), where, order_by=["attributes.start_time ASC"])
        return tuple(_request(run, owners[run.info.experiment_id]) for run in runs)

    def fetch(self, request: Request, folder: Path) -> None:
        """Put the request's files into `folder`, and delete them on the server."""
        with places.reaching(self._uri):
            artifacts.download_artifacts(
                run_id=request.id, artifact_path="", dst_path=str(folder), tracking_uri=self._uri
            )
            place = self._client.get_run(request.id).info.artifact_uri
            repository = repositories.get_artifact_repository(place, tracking_uri=self._uri)
            for file in repository.list_artifacts():
                with suppress(NotImplementedError):  # a server that cannot
                    repository.delete_artifacts(file.path)

    def answer(self, request: str, stage: Stage, **content: Any) -> None:
        """Say how a request goes."""
        with places.reaching(self._uri):
            text = redacted(json.dumps(content))
            if len(text) > LONGEST and "words" in content:  # the rest is short
                words = str(content["words"])
                text = redacted(json.dumps({**content, "words": f"{words[: max(0, LONGEST - 600)]} …"}))
            text = text.replace(self._uri, HERE)  # users know the server by another address
            _tag(self._client, request, answer=text, stage=stage, turn="user")
            if stage in OVER:
                self._client.set_terminated(request, "FINISHED" if stage == "ended" else "FAILED")


class Mail:
    """A user's side: requests to the evaluator of the team at `uri`."""

    def __init__(self, uri: str) -> None:
        """Find the user's inbox.

        Raises:
            SpecError: It is not known who asks.
            ServiceError: The server cannot be reached, or there is no inbox.
        """
        places.make_polite()
        self._uri = uri
        self.user = _user()
        begun = time.monotonic()
        with places.reaching(uri):
            self._client = mlflow.MlflowClient(tracking_uri=uri)
            while (found := self._client.get_experiment_by_name(PREFIX + self.user)) is None:
                if time.monotonic() - begun > MAKING:
                    break
                time.sleep(1.0)
        if found is None:
            raise ServiceError(
                f"the team at {places.redacted(uri)} has no inbox for {self.user}. One is made within seconds after  "
                "searchlab stack user add,  while the evaluator runs: docker compose ps"
            )
        self._inbox = found.experiment_id

    def ask(self, kind: str, study: str, *, stage: Stage = "waiting", **details: Any) -> str:
        """Begin a request; its id."""
        tags = {
            "searchlab.kind": "request",
            "searchlab.request": kind,
            "searchlab.study": study,
            "searchlab.details": json.dumps(details),
            "searchlab.stage": stage,
            "searchlab.turn": "evaluator",
        }
        with places.reaching(self._uri):
            run = self._client.create_run(self._inbox, run_name=f"{kind} {study}".strip(), tags=tags)
            return str(run.info.run_id)

    def send(self, request: str, file: Path) -> None:
        """Add a file to a request."""
        with places.reaching(self._uri):
            self._client.log_artifact(request, str(file))

    def post(self, request: str) -> None:
        """All is sent."""
        with places.reaching(self._uri):
            _tag(self._client, request, stage="waiting", turn="evaluator")

    def answer(self, request: str) -> Answer:
        """What the evaluator says by now."""
        with places.reaching(self._uri):
            tags = self._client.get_run(request).data.tags
        content = json.loads(tags.get("searchlab.answer", "{}").replace(HERE, places.redacted(self._uri)))
        return Answer(tags["searchlab.stage"], content)


def _user() -> str:
    """Who asks, as MLflow's client knows it.

    Raises:
        SpecError: It does not.
    """
    name = os.environ.get("MLFLOW_TRACKING_USERNAME") or known.read_mlflow_creds().username
    if not name:
        raise SpecError(
            "who submits? Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or let  mlflow login  keep them; "
            "searchlab stack user add  makes a user"
        )
    return str(name)


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found is not None else client.create_experiment(name))


def _tag(client: Any, run: str, **tags: str) -> None:
    """Set all these tags at once."""
    client.log_batch(run, tags=[entities.RunTag(f"searchlab.{name}", text) for name, text in tags.items()])


def _request(run: Any, user: str) -> Request:
    """A run as a request; whatever a user wrote there is a text."""
    tags = run.data.tags
    try:
        details = json.loads(tags.get("searchlab.details", "{}"))
    except ValueError:
        details = {}
    return Request(
        id=run.info.run_id,
        user=user,
        stage=tags["searchlab.stage"],
        kind=printable(tags.get("searchlab.request", "")),
        study=printable(tags.get("searchlab.study", "")),
        details=details if isinstance(details, dict) else {},
    )

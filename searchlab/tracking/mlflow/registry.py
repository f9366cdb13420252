"""The study's model under a name: one version of a registered model, its alias, its card, and links both ways.

A version is known by the hash of its file, which stands in its tags: whoever asks again finds it.  Before one is made,
everything that was logged is fetched and compared with what the storage and MLflow's own tags say of it: files lie
where others may write, and the way in which a model is loaded decides which code is run.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchlab.errors import DataError, StudyConflict
from searchlab.lazy import lazy
from searchlab.plain import printable
from searchlab.records import StudyResult
from searchlab.tracking import PROMOTED, Registered, Release, StudyStart
from searchlab.tracking.mlflow import champion, places, words
from searchlab.tracking.mlflow.steps import Step, file_step, run_uid
from searchlab.tracking.mlflow.store import Store

if TYPE_CHECKING:
    import mlflow
    import mlflow.artifacts as artifacts
else:
    mlflow = lazy("mlflow")
    artifacts = lazy("mlflow.artifacts")

ROOM = 5000
"""Characters of a description: mlflow/store/model_registry/dbmodels/models.py; PostgreSQL refuses more."""

STUDY, TRIAL, UID = "searchlab.study", "searchlab.trial", "searchlab.uid"
"""Tags of a version, beside `champion.DIGEST`."""


VERSIONS = "mlflow.modelVersions"
"""The tag of a logged model that its page reads."""


def register(store: Store, start: StudyStart, result: StudyResult, release: Release) -> Registered:
    """See `searchlab.tracking.Tracker.promote`."""
    # Its registry is the study's own store, whatever MLFLOW_REGISTRY_URI says.
    client = mlflow.MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)
    run_id = store.run_id(run_uid(start.uid))
    logged = None if run_id is None else champion.logged(client, run_id, release.sha256)
    if run_id is None or logged is None:
        raise StudyConflict(
            f"the model of trial {release.trial} of {start.name!r} is not in the tracking store "
            f"{places.redacted(store.uri)}. Deliver what is kept here:  searchlab sync {start.name}  "
            f"or make it again:  searchlab resume {start.name}"
        )
    _check(store.uri, logged, release)
    before = _pointed_to(client, release)
    version, is_new = _version(client, start, logged, run_id, release)
    client.set_registered_model_alias(release.model, release.alias, version.version)
    _note_on(client, logged, version)
    links = _links(store.experiment_id, run_id, logged.model_id, release)
    text = f"{release.card[: ROOM - len(links) - 2]}\n\n{links}"
    client.update_model_version(release.model, version.version, text)
    client.update_registered_model(release.model, text)
    path = f"/models/{places.quoted(release.model)}/versions/{version.version}"
    registered = Registered(
        model=release.model,
        version=str(version.version),
        alias=release.alias,
        trial=release.trial,
        is_new=is_new,
        before=None if before is None else str(before.version),
        before_of="" if before is None else _origin(before),
        page=places.page(store.uri, path),
    )
    _link_back(store, start, result, release, registered)
    return registered


def _check(uri: str, logged: Any, release: Release) -> None:
    """Fetch what was logged, and refuse what is not what was logged; nothing is opened.

    Raises:
        DataError: It is not.
    """
    with tempfile.TemporaryDirectory() as folder:
        got = artifacts.download_artifacts(artifact_uri=logged.artifact_location, dst_path=folder, tracking_uri=uri)
        held = champion.digests(Path(got))
        found = held.get(champion.FILE, "none")
        if found != release.sha256:
            raise DataError(
                f"the file of the model of trial {release.trial} in the tracking store is not the one that was logged "
                f"(sha256 {found[:16]}…, and the study says {release.sha256[:16]}…): it was replaced or damaged there. "
                "Nothing was registered."
            )
        noted = json.loads(logged.tags.get(champion.FILES, "{}"))  # older versions noted none
        # Files that were added are as good as none, unless one of these names them; MLflow itself adds some.
        others = sorted(path for path, digest in noted.items() if held.get(path) != digest)
        if others:
            raise DataError(
                f"files beside the model of trial {release.trial} in the tracking store are not those that were "
                f"logged, and they say how it is loaded ({', '.join(others)}): they were replaced or damaged there. "
                "Nothing was registered."
            )


def _pointed_to(client: Any, release: Release) -> Any | None:
    try:
        return client.get_model_version_by_alias(release.model, release.alias)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _version(client: Any, start: StudyStart, logged: Any, run_id: str, release: Release) -> tuple[Any, bool]:
    """The version of this model, and whether it was made just now."""
    found = _known(client, release)
    if found is not None:
        return found, False
    with contextlib.suppress(mlflow.exceptions.MlflowException):  # it is there; or the next call says what is wrong
        client.create_registered_model(release.model)
    tags = {
        STUDY: start.name,
        UID: start.uid,
        TRIAL: str(release.trial),
        champion.DIGEST: release.sha256,
    }
    made = client.create_model_version(
        release.model,
        logged.artifact_location,  # not `models:/m-…`: a server that checks sources takes only what it serves itself
        run_id=run_id,
        tags=tags,
        model_id=logged.model_id,
        await_creation_for=0,
    )
    first = _known(client, release)
    if first is not None and first.version != made.version:  # others were as fast
        client.delete_model_version(release.model, made.version)
        return first, False
    return made, True


def _known(client: Any, release: Release) -> Any | None:
    """The first version of this very file."""
    name = release.model.replace("'", "''")
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=200, page_token=token)
        found += [
            version
            for version in page
            if version.tags.get(champion.DIGEST) == release.sha256 and version.tags.get(TRIAL) == str(release.trial)
        ]
        token = page.token
        if not token:
            return min(found, key=lambda version: int(version.version), default=None)


def _note_on(client: Any, logged: Any, version: Any) -> None:
    """The logged model's page names its versions; servers see to it themselves."""
    noted = json.loads(client.get_logged_model(logged.model_id).tags.get(VERSIONS, "[]"))
    if (version.name, str(version.version)) not in [(one["name"], str(one["version"])) for one in noted]:
        noted.append({"name": version.name, "version": version.version})
        client.set_logged_model_tags(logged.model_id, {VERSIONS: json.dumps(noted)})


def _origin(version: Any) -> str:
    if STUDY not in version.tags:
        return "which searchlab has not made"
    return f"trial {version.tags.get(TRIAL)} of {printable(version.tags[STUDY])}"


def _links(experiment_id: str, run_id: str, model_id: str, release: Release) -> str:
    """Where it comes from; from the page itself, since a server has other names inside than outside."""
    run, kind = f"#/experiments/{experiment_id}/runs/{run_id}", places.query(workflowType="machine_learning")
    model = f"#/experiments/{experiment_id}/models/{model_id}"
    links = [f"[the study's run]({run}{kind})", f"[the logged model]({model}{kind})"]
    links += [f"[{path}]({run}/artifacts/{places.quoted(path)}{kind})" for path in release.attachments]
    return f"**From** {' · '.join(links)}"


def _link_back(store: Store, start: StudyStart, result: StudyResult, release: Release, registered: Registered) -> None:
    """The study's run has the files that the version links to, and says which version its model became."""
    run, now = run_uid(start.uid), time.time()
    told = replace(result, facts={**result.facts, PROMOTED: registered.among(result.facts.get(PROMOTED, ()))})
    tags = {
        "searchlab.registered": f"{registered.model} {registered.version} @{registered.alias}",
        "mlflow.note.content": words.alias(words.description(start, told), words.MAX_TAG),
    }
    steps = [file_step(run, now, path, content) for path, content in release.attachments.items()]
    store.write([*steps, Step("tags", run, now, {"values": tags})])

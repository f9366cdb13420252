"""Where MLflow's stores are: the embedded SQLite file, a server, or a database; and how to talk to them politely."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from searchlab import redact, urls
from searchlab.errors import SearchlabError, ServiceError, SpecError
from searchlab.plain import printable

SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")

ENVIRONMENT = {
    # 7 by default, which blocks for 247 s when the server is gone.  We try again ourselves: the client would repeat the
    # making of a run whose answer was lost, without a look whether it is there.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}

EXPERIMENT = "$EXPERIMENT_ID"
"""Stands in a description for the id of its experiment, which is known where it is written."""

ADVICE = {
    "Invalid Host header": "the server does not know the name it is called by: start it with --allowed-hosts HOST:PORT",
    "error code 401": "the server wants a user: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    "error code 403": "the server does not let this user do that: ask for the permission EDIT on experiment or model",
    "error code 404": "there is no MLflow at this address: is a path missing (the server's --static-prefix)?",
    "valid JSON format": "there is no MLflow at this address: is a path missing (the server's --static-prefix)?",
    "error code 413": "something before the server refuses files of this size: raise its limit of a request's size",
    "out-of-date database schema": "back up the tracking store's database, then: mlflow db upgrade URI",
}
"""What to do, by what an error says."""


def resolve(uri: str | None, home: Path) -> str:
    """The URI to give MLflow; None is the embedded store in `home`.

    Raises:
        SpecError: No store can be there.
    """
    if uri is None:
        return urls.of_sqlite(home / "mlflow.db")
    scheme = uri.partition("://")[0].partition("+")[0].lower()
    if "://" not in uri or scheme not in SCHEMES:
        allowed = "null for the embedded store, http://HOST:PORT, sqlite:///FILE or postgresql+psycopg://…"
        extra = " MLflow's file stores cannot be written to any more." if scheme in ("file", uri.lower()) else ""
        raise SpecError(f"{redacted(uri)!r} is no tracking store.{extra} Allowed: {allowed}.")
    return uri.rstrip("/") if scheme in ("http", "https") else uri


def is_server(uri: str) -> bool:
    """Whether `uri` is an MLflow server; everything else is a database that this process opens itself."""
    return uri.startswith(("http://", "https://"))


def redacted(uri: str) -> str:
    """`uri` without user name and password."""
    return re.sub(r"//[^/@\s]*@", "//", redact.redacted(uri))


def reason_of(error: BaseException) -> str:
    """`error` in one line that may be shown: what can be done about it, no password, nothing unprintable, not long."""
    text = " ".join(str(error).split()) or type(error).__name__
    advice = next((words for told, words in ADVICE.items() if told in text), "")
    return printable(redacted(f"{advice} ({text}" if advice else text))[:300] + (")" if advice else "")


def artifact_folder(uri: str, home: Path) -> str | None:
    """Where the files of new experiments go; None leaves that to the server."""
    return None if is_server(uri) else (home.absolute() / "artifacts").as_uri()


def make_polite() -> None:
    """Short timeouts, no telemetry, no pickles, no chatter; what the user has set in the environment stays."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for chatty in ("mlflow.store.db.utils", "alembic", "urllib3.connectionpool", "mlflow.tracking"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)


def knock(uri: str, timeout: float = 3.0) -> str | None:
    """Why no connection to the host of `uri` can be made; None when it can, or when there is no host to ask."""
    parts = urlsplit(uri)
    if not parts.hostname:
        return None
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme.partition("+")[0], 5432)
    try:
        socket.create_connection((parts.hostname, port), timeout).close()
    except OSError as error:
        return f"nothing answers at {parts.hostname}:{port} ({error.strerror or error})"
    return None


@contextmanager
def reaching(place: str, what: str = "cannot be read") -> Iterator[None]:
    """Whatever MLflow's client raises inside becomes an error for people: who it was that did not do `what`, and why.

    Raises:
        ServiceError: The client raised something.
    """
    try:
        yield
    except SearchlabError:
        raise
    except Exception as error:
        reason = (knock(place) if is_server(place) else None) or reason_of(error)
        raise ServiceError(f"the tracking store {redacted(place)} {what}: {reason}") from error


def page(uri: str, path: str) -> str:
    """The address of a page of the MLflow UI; for a database the part after the host."""
    return f"{redacted(uri)}/#{path}" if is_server(uri) else f"/#{path}"


def view_key(study_uid: str) -> str:
    """The name of a study's saved view in its experiment."""
    return f"searchlab{study_uid.replace('-', '')[:24]}"


def view(study_uid: str, experiment_id: str) -> str:
    """The path of the page that shows a study's trials side by side."""
    # No sort or filter here: the UI ignores the saved view when the address carries one of its own.
    asked = query(workflowType="machine_learning", compareRunsMode="CHART", viewStateShareKey=view_key(study_uid))
    return f"/experiments/{experiment_id}/runs{asked}"


def query(**values: str) -> str:
    """`?a=b&c=d`, escaped."""
    return "?" + "&".join(f"{key}={quoted(value)}" for key, value in values.items())


def quoted(text: str) -> str:
    """`text` as one part of an address."""
    return quote(text, safe="")

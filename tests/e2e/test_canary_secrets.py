"""H4: whatever secrets searchlab is given, they are found nowhere afterwards, and in no command line meanwhile.

Each secret is a distinct text.  Scripted studies run against a real PostgreSQL and a real MLflow server, both with
passwords, and then everything that was written and printed is searched: databases, files, compressed ones too.
"""

from __future__ import annotations

import base64
import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "faults")]

import postgres
from fault_lab import Lab

from benchmarks.mlflow_server import Server, with_users

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

POSTGRES, MLFLOW, WRONG = "canary-postgres-4d1f", "canary-mlflow-9b27", "canary-wrong-c01d"
GIT, UNRELATED = "canary-git-77ae", "canary-unrelated-e3b0"
SECRETS = {
    **{secret: secret for secret in (POSTGRES, MLFLOW, WRONG, GIT, UNRELATED)},
    base64.b64encode(f"admin:{MLFLOW}".encode()).decode(): "the header with the password of MLflow",
}
"""What may be found nowhere, and what to call it."""


def found_in(content: bytes) -> list[str]:
    """Names of the secrets in `content`."""
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    return [name for secret, name in SECRETS.items() if secret.encode() in content]


def found_below(folder: Path, *but: str) -> dict[str, list[str]]:
    """Which files hold a secret, but for some."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] not in but]
    found = {str(path.relative_to(folder)): found_in(path.read_bytes()) for path in files}
    return {name: secrets for name, secrets in found.items() if secrets}


@dataclass
class CommandLines:
    """Looks at the command lines of all processes of this machine until it is left."""

    found: set[str] = field(default_factory=set)
    looks: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> CommandLines:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self.looks += 1
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = process.read_bytes()
                except OSError:
                    continue
                self.found |= {f"{name} in {line.decode(errors='replace')[:200]!r}" for name in found_in(line)}


@dataclass(frozen=True)
class Stores:
    """A PostgreSQL and an MLflow server, both with passwords."""

    mlflow: Server
    database: str

    @property
    def storage(self) -> str:
        """The URL with the password."""
        return f"postgresql+psycopg://canary:{POSTGRES}@127.0.0.1:{postgres.server().port}/{self.database}"

    @property
    def tracking(self) -> str:
        """The URI with user and password."""
        return self.mlflow.uri.replace("http://", f"http://admin:{MLFLOW}@")

    def dump(self) -> bytes:
        """All rows of the Optuna storage."""
        import psycopg

        with psycopg.connect(postgres.server().address(self.database)) as connection:
            tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
            assert len(tables) > 10
            rows = [connection.execute(f"select t::text from {name} t").fetchall() for (name,) in tables]
        return repr(rows).encode()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    import psycopg

    server = postgres.server()
    server.database("canary")
    server.with_password("canary", POSTGRES)
    with psycopg.connect(server.address("postgres"), autocommit=True) as connection:
        connection.execute("ALTER DATABASE canary OWNER TO canary")
    running = with_users(tmp_path_factory.mktemp("mlflow"), MLFLOW)
    running.start()
    try:
        running.wait()
        yield Stores(running, "canary")
    finally:
        running.kill()


def lab_in(folder: Path, name: str, *, storage: str, uri: str) -> Lab:
    """A study in a checkout whose remote has a token."""
    lab = Lab(folder, storage=storage, tracking=f"tracking: {{uri: '{uri}', experiment: {name}}}")
    (folder / "s.yaml").write_text((folder / "s.yaml").read_text().replace("study: noop", f"study: {name}"))
    remote = f"https://somebody:{GIT}@git.invalid/x.git"
    user = ("-c", "user.name=x", "-c", "user.email=x@y.invalid")
    for words in (("init", "-q"), ("remote", "add", "origin", remote), (*user, "commit", "-qm", "x", "--allow-empty")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    lab.script(_1="raise@1!")
    return lab


def call(lab: Lab, *words: str, status: int | None = 0, **environment: str) -> None:
    command = lab.start(*words, UNRELATED_TOKEN=UNRELATED, **environment)
    ended = command.wait(120)
    assert status is None or ended == status, f"{words}: {ended}\n{command.said}\n{command.errors}"


def the_heart(lab: Lab, name: str, known: Mapping[str, str]) -> None:
    """What writes."""
    call(lab, "run", "s.yaml", "--plain", **known)
    call(lab, "resume", name, "--trials", "6", "--plain", **known)
    call(lab, "audit", name, status=None, **known)
    call(lab, "promote", name, status=None, **known)


def everything(lab: Lab, name: str, known: Mapping[str, str]) -> None:
    """A study from its first trial to its registered model, by all commands that do not need Keras."""
    call(lab, "validate", "s.yaml", **known)
    call(lab, "run", "s.yaml", "--plain", **known)
    call(lab, "resume", name, "--trials", "6", "--plain", **known)
    call(lab, "worker", name, "--plain", **known)
    for words in (("status",), ("trials", name), ("trials", name, "--csv", "t.csv"), ("report", name), ("sync",)):
        call(lab, *words, **known)
    call(lab, "audit", name, **known)
    call(lab, "sync", name, "--rebuild", status=None, **known)
    call(lab, "promote", name, **known)
    call(lab, "doctor", status=None, **known)
    call(lab, "gc", status=None, **known)


def faults(lab: Lab, stores: Stores, name: str, known: Mapping[str, str]) -> None:
    """The same where something is wrong, with and without tracebacks."""
    elsewhere = f"postgresql+psycopg://canary:{WRONG}@127.0.0.1:1/canary"
    refused = stores.storage.replace(POSTGRES, WRONG)
    strange = f"mongodb://canary:{WRONG}@127.0.0.1/canary"
    for url in (elsewhere, refused, strange, f"no url {WRONG}@x"):
        for words in (("--traceback", "status"), ("resume", name)) if url != elsewhere else (("doctor",),):
            call(lab, *words, status=None, **{**known, "SEARCHLAB_STORAGE": url})
    dead = f"http://admin:{WRONG}@127.0.0.1:1"
    for words in (("audit", name), ("--traceback", "promote", name)):
        call(lab, *words, status=None, **{**known, "CANARY_TRACKING": dead, "MLFLOW_TRACKING_PASSWORD": WRONG})


THOROUGH = pytest.mark.skipif(os.environ.get("SEARCHLAB_FAULTS") != "all", reason="make faults runs it")


@pytest.mark.parametrize(
    "way", [pytest.param("environment", marks=THOROUGH), "uri", pytest.param("file", marks=THOROUGH)]
)
def test_h4_no_secret_is_found_anywhere(stores: Stores, tmp_path: Path, way: str) -> None:
    """Given by environment variables; within the URI of the server too; and in the study file as they are."""
    name = f"canary-{way}"
    given = {"SEARCHLAB_STORAGE": stores.storage, "CANARY_TRACKING": stores.mlflow.uri}
    credentials = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": MLFLOW}
    if way == "uri":
        given, credentials = {**given, "CANARY_TRACKING": stores.tracking}, {}
    storage, uri = "${SEARCHLAB_STORAGE}", "${CANARY_TRACKING}"
    if way == "file":
        storage, uri = stores.storage, stores.tracking
    lab = lab_in(tmp_path, name, storage=storage, uri=uri)
    try:
        with CommandLines() as seen:
            if way == "environment":
                everything(lab, name, {**given, **credentials})
                faults(lab, stores, name, {**given, **credentials})
            else:
                the_heart(lab, name, {**given, **credentials})
        assert seen.looks > 20
        assert seen.found == set()
        assert found_below(tmp_path, ".git", *(["s.yaml"] if way == "file" else [])) == {}
        assert found_in(stores.dump()) == []
        assert found_below(stores.mlflow.folder) == {}
        said = "".join(command.said + command.errors for command in lab.commands)
        assert f"{name} version 1 is registered" in said  # it did all that
        assert list((tmp_path / "home" / "outbox").rglob("*.gz")), "journals of another form are not looked into"
    finally:
        lab.close()

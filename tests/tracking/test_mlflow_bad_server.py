"""Servers that answer badly: what they are given in the end is the same.  Faults C2, C3, C4, C11, C13, C15, C16.

Between the client and a real server stands one of ours, which answers some requests as a script says.
"""

from __future__ import annotations

import http.client
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.mlflow_server import Server
from searchlab.tracking import TRACKERS
from searchlab.tracking.mlflow import places, writer

MLFLOW = TRACKERS.get("mlflow")
pytestmark = pytest.mark.slow


class Moody(ThreadingHTTPServer):
    """Passes requests on, but for those that `mood` answers: (status, headers, body), "cut" or "trickle"."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = port
        self.mood: Callable[[int, str, str], object] = lambda number, method, path: None
        self.count = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Moody

    def answer(self) -> None:
        self.server.count += 1
        length = int(self.headers.get("Content-Length") or 0)
        answer = self.server.mood(self.server.count, self.command, self.path)
        if answer == "cut":
            self.rfile.read(length * 6 // 10)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = self.rfile.read(length)
        if isinstance(answer, tuple):
            status, headers, content = answer
        else:
            behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=60)
            given = {key: value for key, value in self.headers.items() if key not in ("Host", "Connection")}
            behind.request(self.command, self.path, body, given)
            real = behind.getresponse()
            status, content = real.status, real.read()
            headers = {"Content-Type": real.headers.get("Content-Type", "application/json")}
            behind.close()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if answer == "trickle":
            for byte in content[:4]:
                self.wfile.write(bytes([byte]))
                time.sleep(0.3)
            content = content[4:]
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def moody(server: Server) -> Iterator[Moody]:
    made = Moody(server.port)
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "FIRST_PAUSE", 0.05)


def deliver(session, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not session.flush(5):
        assert time.monotonic() < deadline, session.close(1)
        time.sleep(0.1)
    assert session.close(30).is_complete


def content(study, uri, experiment, home):
    found = MLFLOW.runs(uri, experiment=experiment, home=home, study_uid=study.start.uid)
    return [(run.uid, run.name, run.status, run.params, run.metrics) for run in found]


def tell(study, session) -> None:
    study.tell(session)
    session.study_finished(study.result, {"figures/a.html": "<p>" * 50_000})


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    from conftest import Study

    study, home = Study(), tmp_path_factory.mktemp("undisturbed")
    session = MLFLOW.open(server.uri, experiment="undisturbed", home=home)
    tell(study, session)
    deliver(session)
    return content(study, server.uri, "undisturbed", home)


HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
MOODS = {
    "429 with Retry-After": lambda n: (429, {"Retry-After": "1"}, b"slow down") if n % 5 == 0 else None,
    "503": lambda n: (503, {"Retry-After": "1"}, b"") if n % 4 == 1 else None,
    "500 of MLflow": lambda n: (500, {}, b'{"error_code": "INTERNAL_ERROR", "message": "no"}') if n % 6 == 2 else None,
    "502 with a page": lambda n: (502, {"Content-Type": "text/html"}, HTML) if n % 4 == 0 else None,
    "400 with a page": lambda n: (400, {"Content-Type": "text/html"}, HTML) if n % 7 == 3 else None,
    "200 with a page": lambda n: (200, {"Content-Type": "text/html"}, HTML) if n % 7 == 3 else None,
    "bytes that trickle": lambda n: "trickle" if n % 9 == 4 else None,
    "requests that are cut": lambda n: "cut" if n % 5 == 2 else None,
}


@pytest.mark.parametrize("name", MOODS)
def test_c4_c11_bad_answers_cost_time_alone(study, moody, server, undisturbed, tmp_path, name):
    moody.mood = lambda number, method, path: MOODS[name](number)
    session = MLFLOW.open(moody.uri, experiment=name, home=tmp_path)
    began = time.perf_counter()
    tell(study, session)
    assert time.perf_counter() - began < 1.0
    deliver(session)
    assert moody.count > 10
    assert content(study, server.uri, name, tmp_path) == undisturbed
    assert not list((tmp_path / "outbox").rglob("*.refused"))


def test_c11_an_upload_that_is_cut_comes_again_whole(study, moody, server, tmp_path):
    import mlflow

    cut = []

    def mood(number, method, path):
        if method == "PUT" and path.endswith("figures/a.html") and len(cut) < 2:
            cut.append(path)
            return "cut"
        return None

    moody.mood = mood
    session = MLFLOW.open(moody.uri, experiment="uploads", home=tmp_path)
    tell(study, session)
    deliver(session)
    assert len(cut) == 2
    client = mlflow.MlflowClient(server.uri)
    (run,) = client.search_runs(
        [client.get_experiment_by_name("uploads").experiment_id], "tags.`searchlab.kind` = 'study'"
    )
    (file,) = client.list_artifacts(run.info.run_id, "figures")
    assert (file.path, file.file_size) == ("figures/a.html", 150_000)


def test_a_file_that_is_too_large_for_what_stands_before_the_server_holds_nothing_up(study, moody, server, tmp_path):
    moody.mood = lambda number, method, path: (413, {}, b"too large") if path.endswith("a.html") else None
    session = MLFLOW.open(moody.uri, experiment="large", home=tmp_path)
    tell(study, session)
    assert session.flush(60)
    delivery = session.close(30)
    assert (delivery.refused, delivery.undelivered) == (1, 0) and "413" in delivery.reason
    assert [
        run.status for run in MLFLOW.runs(server.uri, experiment="large", home=tmp_path, study_uid=study.start.uid)
    ] == [
        "FINISHED",
        "FINISHED",
        "KILLED",
        "FAILED",
        "FINISHED",
    ]


def test_c2_a_server_that_dies_and_comes_back_has_what_an_undisturbed_one_has(study, server, undisturbed, tmp_path):
    session = MLFLOW.open(server.uri, experiment="dies", home=tmp_path)
    study.tell(session, until=2)
    assert session.flush(60)
    server.kill()
    tell(study, session)
    assert not session.flush(20)
    server.start()
    server.wait()
    deliver(session)
    assert content(study, server.uri, "dies", tmp_path) == undisturbed


ADVICE = {
    "401": ((401, {}, b"Unauthorized"), "MLFLOW_TRACKING_USERNAME"),
    "403 of the host": ((403, {}, b"Invalid Host header - possible DNS rebinding attack detected"), "--allowed-hosts"),
    "403": ((403, {}, b"Permission denied"), "permission EDIT"),
    "404": ((404, {"Content-Type": "text/html"}, b"<h1>Not Found</h1>"), "--static-prefix"),
    "a page in place of JSON": ((200, {"Content-Type": "text/html"}, b"<h1>Welcome</h1>"), "--static-prefix"),
}


@pytest.mark.parametrize("name", ADVICE)
def test_c13_the_message_names_what_to_change(study, moody, tmp_path, name):
    answer, words = ADVICE[name]
    moody.mood = lambda number, method, path: answer
    session = MLFLOW.open(moody.uri, experiment="advice", home=tmp_path)
    study.tell(session, until=1)
    assert not session.flush(30)
    delivery = session.close(5)
    assert words in delivery.reason and delivery.undelivered > 5 and delivery.refused == 0
    assert words in str(MLFLOW.check(moody.uri, home=tmp_path))


def test_c15_an_old_schema_is_said_with_the_command_that_mends_it(study, home, tmp_path):
    with closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '6953534de441'")
    session = MLFLOW.open(None, experiment="old", home=home)
    study.tell(session, until=1)
    assert not session.flush(60)
    delivery = session.close(5)
    assert "mlflow db upgrade" in delivery.reason and delivery.undelivered > 5
    assert "mlflow db upgrade" in str(MLFLOW.check(None, home=home))


def test_c3_c16_a_process_beside_a_frozen_server_ends_in_time_and_keeps_everything(study, server, tmp_path):
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from conftest import Study\n"
        "from searchlab.tracking import TRACKERS\n"
        "session = TRACKERS.get('mlflow').open(sys.argv[1], experiment='exit', home=Path(sys.argv[3]))\n"
        "Study().tell(session)\n"
        "print(session.close(5))\n"
    )
    server.freeze()
    try:
        began = time.perf_counter()
        command = [sys.executable, "-c", program, server.uri, str(Path(__file__).parent), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert time.perf_counter() - began < 25  # most of it imports
    finally:
        server.thaw()
    assert "not delivered" in done.stdout
    session = MLFLOW.open(server.uri, experiment="exit", home=tmp_path)
    session.study_started(study.start)
    deliver(session)
    assert len(content(study, server.uri, "exit", tmp_path)) == 5


def test_reasons_are_short_and_name_no_password():
    assert len(places.reason_of(ValueError("x" * 1000))) == 300
    said = places.reason_of(OSError("error code 401 http://user:secret@host/"))
    assert "secret" not in said and said.startswith("the server wants a user")

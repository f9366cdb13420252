"""The stack as a team would bring it up, judged from outside; `make test-stack`, ten minutes and 10 GB of disk.

Where a machine has no Docker engine one is installed, started and ended; base images that no registry gives are made
from Debian's packages (`engine.py`).  The stack is that of a copy of this checkout, under a project name, on ports and
with secrets of its own, and its volumes go at the end.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from engine import Engine, Unavailable, has_base_images, provide_base_images

from searchlab.stack.compose import Stack
from searchlab.stack.secrets import SECRETS, read

ROOT = Path(__file__).resolve().parent.parent.parent
WANTED = os.environ.get("SEARCHLAB_STACK_TEST", "")
"""`all`: do what it takes.  `cheap`: only where an engine answers and the base images are there.  Else: nothing."""

TRIALS = 12
ENDED = {"FINISHED", "FAILED", "KILLED"}
OPEN = ("/health", "/static", "/favicon.ico", "/server-info")
"""What MLflow shows to everybody: nothing of anybody's."""

pytestmark = pytest.mark.timeout(3600)


class Running:
    """A stack that is up."""

    def __init__(self, folder: Path, port: int, came_from: dict[str, str], listening: set[tuple[str, int]]) -> None:
        self.stack = Stack(folder)
        self.folder = folder
        self.port = port
        self.came_from = came_from
        self.listening_before = listening

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        path: str,
        method: str = "GET",
        *,
        account: tuple[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: Any = None,
    ) -> tuple[int, bytes]:
        """Status and body of the answer to one request."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if account is not None:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(account).encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=None if body is None else json.dumps(body), headers=sent)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @property
    def admin(self) -> tuple[str, str]:
        return "admin", read(self.folder)["MLFLOW_ADMIN_PASSWORD"]

    def api(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """What MLflow answers to its admin."""
        status, said = self.ask(f"/api/2.0/mlflow/{path}", method, account=self.admin, body=body)
        assert status == 200, f"{path}: {status} {said!r}"
        return json.loads(said)

    def inside(self, service: str, program: str, *words: str) -> str:
        """What a Python program prints that runs in a container of `service`."""
        command = ["docker", "compose", "exec", "-T", service, "python", "-", *words]
        done = subprocess.run(command, cwd=self.folder, input=program, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{service}: {done.stderr}"
        return done.stdout.strip()

    def containers(self) -> list[dict[str, Any]]:
        lines = self.stack.compose("ps", "--all", "--format", "json").decode().splitlines()
        return [json.loads(line) for line in lines]

    def searchlab(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command of this checkout, in the folder of the stack."""
        return subprocess.run(
            [sys.executable, "-m", "searchlab", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=1800,
        )


def listening() -> set[tuple[str, int]]:
    """Each address and port of this machine that somebody listens at."""
    found = psutil.net_connections("inet")
    return {(entry.laddr.ip, entry.laddr.port) for entry in found if entry.status == psutil.CONN_LISTEN}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def settle(folder: Path, port: int, project: str) -> None:
    """Make the `.env` of the stack in `folder`, as its team would, and add what keeps it apart from others."""
    subprocess.run(
        [sys.executable, "-m", "searchlab", "stack", "init"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    with (folder / ".env").open("a") as file:
        file.write(f"COMPOSE_PROJECT_NAME={project}\nSTACK_PORT={port}\nWORKERS=2\n")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The stack, with two workers."""
    if WANTED not in {"all", "cheap"}:
        pytest.skip("THE STACK WAS NOT BROUGHT UP: make test-stack does it")
    if WANTED == "cheap" and not (Engine.answers() and has_base_images()):
        pytest.skip("THE STACK WAS NOT BROUGHT UP: no Docker engine answers that has its base images; make test-stack")
    try:
        with Engine() as engine:
            came_from = provide_base_images(engine.folder)
            folder = tmp_path_factory.mktemp("checkout")
            tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
            for name in filter(None, tracked.decode().split("\0")):
                if (ROOT / name).exists():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, folder / name)
            port, project = free_port(), f"searchlab-test-{secrets.token_hex(3)}"
            before = listening()
            settle(folder, port, project)
            running = Running(folder, port, came_from, before)
            try:
                print(f"\nbase images: {came_from}")
                timed("build", running.stack, "build")
                timed("up", running.stack, "up", "--detach", "--wait")
                yield running
            finally:
                if sys.exc_info()[0] is not None:
                    print(running.stack.compose("logs", "--tail", "40", "--no-color").decode(errors="replace"))
                running.stack.compose("--profile", "*", "down", "--volumes", "--timeout", "10")
    except Unavailable as error:
        pytest.skip(f"THE STACK WAS NOT BROUGHT UP: {error}")


def timed(what: str, stack: Stack, *words: str) -> None:
    began = time.monotonic()
    stack.compose(*words)
    print(f"{what}: {time.monotonic() - began:.0f} s")


def test_every_container_is_healthy(running: Running) -> None:
    found = [(one["Service"], one["State"], one["Health"], one["ExitCode"]) for one in running.containers()]
    assert sorted(found) == sorted(
        [
            ("migrate", "exited", "", 0),
            ("postgres", "running", "healthy", 0),
            ("mlflow", "running", "healthy", 0),
            ("worker", "running", "healthy", 0),
            ("worker", "running", "healthy", 0),
            ("evaluator", "running", "healthy", 0),
        ]
    )


ROUTES = """
import json, logging, os
os.environ |= {"_MLFLOW_SGI_NAME": "uvicorn", "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED": "true"}  # as `mlflow server` sets them
logging.disable(logging.CRITICAL)
from mlflow.server import auth
from starlette.routing import Mount

def walk(routes, prefix=""):
    for route in routes:
        if isinstance(route, Mount) and getattr(route, "routes", None):
            yield from walk(route.routes, prefix + route.path)
        elif hasattr(route, "methods"):
            for method in route.methods or ():
                yield method, prefix + route.path
        elif hasattr(route, "path"):
            yield "GET", prefix + route.path

served = auth.create_app()
found = set(walk(served.routes))
for rule in auth.app.url_map.iter_rules():
    found |= {(method, rule.rule) for method in rule.methods}
print(json.dumps(sorted(found)))
"""


class TestFromOutside:
    """What somebody gets who has no account, or comes by another name."""

    def test_without_an_account_every_route_is_closed(self, running: Running) -> None:
        routes = json.loads(running.inside("mlflow", ROUTES).splitlines()[-1])
        assert len(routes) > 200, "the list of routes is not that of the app"
        open_ones, forbidden = set(), set()
        for method, rule in routes:
            path = "".join("x" if part.startswith(("<", "{")) else part for part in _parts(rule))
            status, _ = running.ask(path, method, body=None if method in {"GET", "HEAD"} else {})
            if status == 403:
                forbidden.add((method, rule))
            elif status != 401:
                open_ones.add((method, rule, status))
        print(f"{len(routes)} routes, of which {len(forbidden)} answer 403: {sorted(forbidden)[:10]}")
        unexpected = {one for one in open_ones if not any(word in one[1] for word in OPEN) and one[0] != "OPTIONS"}
        assert not unexpected

    @pytest.mark.parametrize("account", [("admin", "password1234"), ("admin", ""), ("worker", "worker"), ("", "")])
    def test_a_guessed_password_opens_nothing(self, running: Running, account: tuple[str, str]) -> None:
        status, _ = running.ask("/api/2.0/mlflow/experiments/search?max_results=1", account=account)
        assert status == 401

    @pytest.mark.parametrize("host", ["evil.com", "10.evil.com", "192.168.evil.com", "10.1.2.3", "localhost.evil.com"])
    def test_another_host_is_refused_even_with_an_account(self, running: Running, host: str) -> None:
        path = "/api/2.0/mlflow/experiments/search?max_results=1"
        status, _ = running.ask(path, account=running.admin, headers={"Host": host})
        assert status == 403
        assert running.ask(path, account=running.admin)[0] == 200

    # MLflow 3.17 lets every page of this very machine write, whatever --cors-allowed-origins says.
    @pytest.mark.parametrize("origin", ["http://evil.com", "http://localhost.evil.com", "null"])
    def test_another_origin_cannot_write(self, running: Running, origin: str) -> None:
        status, _ = running.ask(
            "/api/2.0/mlflow/experiments/create",
            "POST",
            account=running.admin,
            headers={"Origin": origin},
            body={"name": f"of another origin {origin}"},
        )
        assert status == 403

    def test_nothing_listens_beyond_loopback(self, running: Running) -> None:
        new = listening() - running.listening_before
        assert (("127.0.0.1", running.port)) in new
        assert {address for address, _ in new} <= {"127.0.0.1", "::1"}

    def test_no_secret_is_an_argument_of_a_process_or_a_line_of_a_log(self, running: Running) -> None:
        hidden = [value for name, value in read(running.folder).items() if name in SECRETS]
        for process in psutil.process_iter(["cmdline"]):
            words = " ".join(process.info["cmdline"] or ())
            assert not [value for value in hidden if value in words], process
        logs = running.stack.compose("logs", "--no-color").decode(errors="replace")
        assert len(logs) > 500
        assert not [value for value in hidden if value in logs]


class TestFromInside:
    """What a container can do that was taken over."""

    @pytest.mark.parametrize("service", ["worker", "evaluator", "mlflow", "postgres"])
    def test_it_is_nobody_and_writes_where_it_must_only(self, running: Running, service: str) -> None:
        words = ("exec", "-T", service, "sh", "-c")
        facts = running.stack.compose(*words, "id -u; cat /proc/self/status; touch /nothing 2>&1 || true").decode()
        assert int(facts.splitlines()[0]) in {10001, 999}
        assert "CapEff:\t0000000000000000" in facts and "CapBnd:\t0000000000000000" in facts
        assert "NoNewPrivs:\t1" in facts
        assert "Read-only file system" in facts

    @pytest.mark.parametrize("service", ["worker", "evaluator", "mlflow"])
    def test_it_cannot_reach_out(self, running: Running, service: str) -> None:
        """Neither a name nor an address of the internet, nor the one that clouds answer secrets at."""
        program = (
            "import socket\n"
            "for place in (('192.0.2.1', 80), ('169.254.169.254', 80), ('example.org', 443)):\n"
            "    try:\n        socket.create_connection(place, 4)\n        print('reached', place)\n"
            "    except OSError as error:\n        print('no', error)\n"
        )
        assert "reached" not in running.inside(service, program)

    def test_a_worker_reads_and_writes_rows_and_changes_no_table(self, running: Running) -> None:
        program = (
            "import os, psycopg\n"
            "url = os.environ['SEARCHLAB_STORAGE'].replace('+psycopg', '')\n"
            "for statement in ('SELECT count(*) FROM studies', 'DROP TABLE studies', 'TRUNCATE studies CASCADE',\n"
            "    'ALTER TABLE studies ADD COLUMN x int', 'CREATE TABLE mine (x int)', 'CREATE SCHEMA mine',\n"
            "    'CREATE ROLE mine', 'SET ROLE optuna_owner', 'COPY studies TO PROGRAM $$id$$',\n"
            "    'DELETE FROM studies WHERE study_id = -1'):\n"
            "    with psycopg.connect(url) as connection:\n"
            "        try:\n            connection.execute(statement); print('done', statement)\n"
            "        except psycopg.Error as error:\n            print(type(error).__name__, statement)\n"
            "try:\n    psycopg.connect(url.replace('/optuna', '/mlflow')); print('done connect')\n"
            "except psycopg.Error as error:\n    print(error)\n"
        )
        said = running.inside("worker", program)
        done = [line for line in said.splitlines() if line.startswith("done")]
        assert done == ["done SELECT count(*) FROM studies", "done DELETE FROM studies WHERE study_id = -1"], said
        assert "permission denied for database" in said

    def test_a_worker_cannot_see_the_seal(self, running: Running) -> None:
        look = (
            "import os\n"
            "try:\n    print(os.listdir('/var/lib/searchlab/sealed'))\n"
            "except PermissionError:\n    print('EACCES')\n"
            "places = [line.split()[1] for line in open('/proc/mounts')]\n"
            "print(*sorted(place for place in places if '/searchlab' in place or place == '/data'))"
        )
        home, sealed, uploads = "/var/lib/searchlab", "/var/lib/searchlab/sealed", "/var/lib/searchlab-uploads"
        assert running.inside("worker", look).splitlines() == ["EACCES", f"{home} {sealed}"]
        kept, mounted = running.inside("evaluator", look).splitlines()
        assert kept != "EACCES" and mounted.split() == sorted(["/data", home, uploads, sealed])

    def test_what_is_written_is_its_own_alone(self, running: Running) -> None:
        """Its umask is 077; that of what `exec` starts is Docker's."""
        program = (
            "import re\n"
            "child = open('/proc/1/task/1/children').read().split()[0]\n"  # process 1 is Docker's own
            "print(re.search(r'Umask:\\s*(\\d+)', open(f'/proc/{child}/status').read()).group(1))"
        )
        assert [running.inside(service, program) for service in ("mlflow", "worker", "evaluator")] == ["0077"] * 3


def state(running: Running, service: str) -> list[tuple[str, str]]:
    return [(one["State"], one["Health"]) for one in running.containers() if one["Service"] == service]


def until(what: str, holds: Any, *, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{seconds:.0f} s passed, and not yet: {what}"
        time.sleep(1)


def starts(running: Running, service: str) -> int:
    """How often Docker has brought its containers back."""
    ids = running.stack.compose("ps", "--quiet", service).decode().split()
    counts = subprocess.run(
        ["docker", "inspect", "--format", "{{.RestartCount}}", *ids], capture_output=True, text=True, check=True
    )
    return sum(map(int, counts.stdout.split()))


def kill_all_in(running: Running, service: str) -> None:
    """SIGKILL for every process of one container, which Docker does not take for a wish to stop it."""
    running.stack.compose("exec", "-T", service, "sh", "-c", "kill -9 -1", accepted=(0, 137))


class TestStudy:
    """The digits study, sent from outside by somebody with an account, through what may happen meanwhile."""

    def test_it_is_exact_though_a_worker_and_postgresql_are_killed(self, running: Running) -> None:
        made = running.searchlab("stack", "user", "add", "ada")
        assert made.returncode == 0, made.stderr
        account = dict(re.findall(r"export (MLFLOW_TRACKING_\w+)=(\S+)", made.stdout))
        assert account["MLFLOW_TRACKING_USERNAME"] == "ada"
        until("ada has an inbox", lambda: "ada" in str(running.api("experiments/search?max_results=1000")))
        words = ["run", "studies/digits_cnn.yaml", "--stack", running.url, "--trials", str(TRIALS), "--plain"]
        with (running.folder / "run.log").open("wb") as log:
            sent = subprocess.Popen(
                [sys.executable, "-m", "searchlab", *words],
                cwd=running.folder,
                env={**os.environ, **account, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )

            def ended() -> int:
                assert sent.poll() in {None, 0}, (running.folder / "run.log").read_text()
                states = "('COMPLETE', 'PRUNED')"
                return int(running.stack.query("optuna", f"SELECT count(*) FROM trials WHERE state IN {states}"))

            try:
                until("two trials have ended", lambda: ended() >= 2, seconds=300)
                kill_all_in(running, "worker")
                until("four trials have ended", lambda: ended() >= 4, seconds=300)
                kill_all_in(running, "postgres")
                assert sent.wait(900) == 0, (running.folder / "run.log").read_text()
            finally:
                if sent.poll() is None:
                    sent.kill()
        rows = running.stack.query("optuna", "SELECT number, state FROM trials ORDER BY number").splitlines()
        assert [int(row.split("|")[0]) for row in rows] == list(range(TRIALS)), rows
        assert {row.split("|")[1] for row in rows} <= {"COMPLETE", "PRUNED"}, rows

    def test_mlflow_says_the_same(self, running: Running) -> None:
        """A run for each trial, with the value that the storage has; a lost attempt has one too, and says so."""
        until(
            "no run is under way", lambda: {run["info"]["status"] for run in self.runs(running)} <= ENDED, seconds=120
        )
        runs = self.runs(running)
        kept = {int(tag_of(run, "searchlab.trial")): run for run in runs if tag_of(run, "searchlab.state") != "lost"}
        assert len(runs) - len(kept) == sum(tag_of(run, "searchlab.state") == "lost" for run in runs)
        assert sorted(kept) == list(range(TRIALS))
        stored = running.stack.query(
            "optuna",
            "SELECT number, value FROM trials JOIN trial_values USING (trial_id) WHERE state = 'COMPLETE'",
        )
        values = {int(number): float(value) for number, value in (row.split("|") for row in stored.splitlines())}
        assert values
        assert {number: metric_of(kept[number], "objective") for number in values} == pytest.approx(values)

    def runs(self, running: Running) -> list[dict[str, Any]]:
        experiment = running.api("experiments/get-by-name?experiment_name=digits")["experiment"]["experiment_id"]
        wanted = {"experiment_ids": [experiment], "filter": "tags.`searchlab.kind` = 'trial'", "max_results": 1000}
        found: list[dict[str, Any]] = running.api("runs/search", "POST", wanted)["runs"]
        return found


def tag_of(run: dict[str, Any], name: str) -> str:
    return next(str(tag["value"]) for tag in run["data"]["tags"] if tag["key"] == name)


def metric_of(run: dict[str, Any], name: str) -> Any:
    return next((metric["value"] for metric in run["data"].get("metrics", []) if metric["key"] == name), None)


@pytest.mark.parametrize("service", ["worker", "mlflow", "postgres"])
def test_what_is_killed_comes_back_by_itself(running: Running, service: str) -> None:
    before = starts(running, service)
    kill_all_in(running, service)
    until(f"{service} is started again", lambda: starts(running, service) == before + 1)
    until(f"{service} is healthy", lambda: {health for _, health in state(running, service)} == {"healthy"})
    running.api("experiments/search?max_results=1")


FILL = """
import os, sys
place = sys.argv[1]
os.makedirs(f"{place}/kept", exist_ok=True)
with open(f"{place}/kept/file", "wb") as file:
    file.write(bytes(range(256)) * 4096)
"""
LIST = """
import hashlib, os, sys
for folder, _, names in sorted(os.walk(sys.argv[1])):
    for name in sorted(names):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            print(path, oct(os.stat(path).st_mode), hashlib.sha256(file.read()).hexdigest())
"""
PLACES = {
    "mlflow": ("/var/lib/mlflow/artifacts",),
    "evaluator": ("/var/lib/searchlab", "/var/lib/searchlab-uploads"),
}


class TestBackup:
    """A stack, saved and made again elsewhere: the same contents, under the secrets of the new one."""

    def test_round_trip(self, running: Running) -> None:
        made = running.api("experiments/create", "POST", {"name": "kept"})["experiment_id"]
        run = running.api("runs/create", "POST", {"experiment_id": made, "start_time": 1})["run"]["info"]["run_id"]
        running.api("runs/log-metric", "POST", {"run_id": run, "key": "kept", "value": 0.25, "timestamp": 1})
        for service, places in PLACES.items():
            for place in places:
                running.inside(service, FILL, place)
        running.inside("evaluator", FILL, "/var/lib/searchlab/sealed")
        before = self.everything(running)
        assert all("kept/file" in found for found in before.values())

        done = running.searchlab("stack", "backup", "saved.tar")
        assert done.returncode == 0, done.stderr
        saved = running.folder / "saved.tar"
        assert saved.stat().st_mode & 0o777 == 0o600
        assert not [value for value in read(running.folder).values() if len(value) > 20 and value in str(saved)]
        print(f"backup of {saved.stat().st_size / 1e6:.1f} MB")
        again = running.searchlab("stack", "backup", "saved.tar")
        assert again.returncode == 2 and "overwrites nothing" in again.stderr

        refused = running.searchlab("stack", "restore", "saved.tar")
        assert refused.returncode == 2 and "is not empty" in refused.stderr, refused.stderr
        assert self.everything(running) == before

        project = read(running.folder)["COMPOSE_PROJECT_NAME"]
        running.stack.compose("--profile", "*", "down", "--volumes")
        old = running.admin
        (running.folder / ".env").unlink()
        settle(running.folder, running.port, project)
        assert running.admin != old
        restored = running.searchlab("stack", "restore", "saved.tar")
        assert restored.returncode == 0, restored.stderr
        running.stack.compose("up", "--detach", "--wait")
        assert self.everything(running) == before
        assert running.api(f"runs/get?run_id={run}")["run"]["data"]["metrics"][0]["value"] == 0.25
        assert running.ask("/api/2.0/mlflow/experiments/search?max_results=1", account=old)[0] == 401

    def test_force_replaces_what_is_there(self, running: Running) -> None:
        before = self.everything(running)
        running.inside("evaluator", "open('/var/lib/searchlab/of_later', 'w').close()")
        running.api("experiments/create", "POST", {"name": "of later"})
        done = running.searchlab("stack", "restore", "--force", "saved.tar")
        assert done.returncode == 0, done.stderr
        running.stack.compose("up", "--detach", "--wait")
        assert self.everything(running) == before
        assert (
            running.ask("/api/2.0/mlflow/experiments/get-by-name?experiment_name=of+later", account=running.admin)[0]
            == 404
        )

    def test_a_changed_archive_is_refused_before_anything_is_touched(self, running: Running) -> None:
        content = bytearray((running.folder / "saved.tar").read_bytes())
        at = bytes(content).index(bytes(range(256)))
        content[at] ^= 1
        (running.folder / "changed.tar").write_bytes(content)
        done = running.searchlab("stack", "restore", "--force", "changed.tar")
        assert done.returncode == 2 and "sha256" in done.stderr
        assert {health for _, health in state(running, "mlflow")} == {"healthy"}

    def test_an_upgrade_saves_first_and_ends_up_running(self, running: Running) -> None:
        before = self.everything(running)
        done = running.searchlab("stack", "upgrade", "before_upgrade.tar")
        assert done.returncode == 0, done.stderr
        assert (running.folder / "before_upgrade.tar").exists()
        assert self.everything(running) == before
        running.api("experiments/search?max_results=1")

    def everything(self, running: Running) -> dict[str, str]:
        found = {service: "" for service in PLACES}
        for service, places in PLACES.items():
            for place in places:
                found[service] += running.inside(service, LIST, place)
        return found


def _parts(rule: str) -> list[str]:
    """`/a/<path:b>/{c}` as `/a/`, `<path:b>`, `/`, `{c}`."""
    return [part for part in re.split(r"(<[^>]*>|\{[^}]*\})", rule) if part]

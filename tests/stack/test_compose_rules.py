"""What every service of compose.yaml owes: each rule is a test that names the service which breaks it.

Read as YAML, with anchors and merges resolved, so that a service is judged by what compose makes of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from searchlab import __version__
from searchlab.stack.secrets import IMAGES, SECRETS

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
ONE_SHOT = {"migrate"}
LASTING = sorted(set(SERVICES) - ONE_SHOT)
PUBLISHED = {"mlflow", "dashboard"}
S3: dict[str, Any] = yaml.safe_load((ROOT / "stack" / "compose.s3.yaml").read_text(encoding="utf-8"))
INIT = "run  searchlab stack init  first"

every_service = pytest.mark.parametrize("name", sorted(SERVICES))
every_lasting_service = pytest.mark.parametrize("name", LASTING)


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    found = service.get("environment", {})
    return found if isinstance(found, dict) else dict(entry.split("=", 1) for entry in found)


def default_of(text: str) -> str:
    """A value as it is without `.env`: `${NAME:-default}` becomes its default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def mounts(name: str) -> Iterator[tuple[str, str, bool]]:
    """Source, target and whether it is read only, of each mount."""
    for mount in SERVICES[name].get("volumes", []):
        if isinstance(mount, str):
            source, target, *mode = mount.split(":")
            yield source, target, mode == ["ro"]
        else:
            yield mount["source"], mount["target"], mount.get("read_only", False)


def networks_of(name: str) -> set[str]:
    return set(SERVICES[name]["networks"])


@every_service
class TestEveryService:
    def test_is_not_root(self, name: str) -> None:
        user, _, group = SERVICES[name].get("user", "0:0").partition(":")
        assert user.isdigit() and group.isdigit() and int(user) > 0 and int(group) > 0, name

    def test_cannot_write_to_its_root(self, name: str) -> None:
        assert SERVICES[name].get("read_only") is True, name
        assert any(place.startswith("/tmp:") for place in SERVICES[name].get("tmpfs", [])), f"{name} has no /tmp"

    def test_drops_every_capability_and_gets_none(self, name: str) -> None:
        assert SERVICES[name].get("cap_drop") == ["ALL"], name
        assert not {"cap_add", "privileged", "devices", "pid", "ipc", "network_mode", "userns_mode"} & set(
            SERVICES[name]
        )

    def test_gains_no_privileges(self, name: str) -> None:
        assert SERVICES[name].get("security_opt") == ["no-new-privileges:true"], name

    def test_has_limits(self, name: str) -> None:
        assert re.fullmatch(r"\d+[mg]", default_of(str(SERVICES[name].get("mem_limit")))), f"{name}: mem_limit"
        assert int(SERVICES[name].get("pids_limit", 0)) > 0, f"{name}: pids_limit"
        assert all("size=" in place or "/var/run/" in place for place in SERVICES[name]["tmpfs"]), f"{name}: tmpfs"

    def test_is_given_a_minute_to_stop(self, name: str) -> None:
        assert SERVICES[name].get("stop_grace_period") == "60s", name

    def test_keeps_logs_that_do_not_fill_the_disk(self, name: str) -> None:
        assert {"max-size", "max-file"} <= set(SERVICES[name]["logging"]["options"]), name

    def test_does_not_see_docker(self, name: str) -> None:
        assert "docker.sock" not in str(SERVICES[name]), name

    def test_names_its_networks(self, name: str) -> None:
        assert networks_of(name) and networks_of(name) <= set(FILE["networks"]), name

    def test_has_an_image_of_a_certain_version(self, name: str) -> None:
        image = default_of(SERVICES[name]["image"])
        repository, _, tag = image.partition(":")
        assert repository and re.match(r"\d+", tag) and "latest" not in tag, f"{name}: {image}"
        if repository.startswith("searchlab-"):
            assert tag == __version__, f"{name} runs {tag}, and this is {__version__}"
            target = SERVICES[name]["build"]["target"]
            assert repository == f"searchlab-{target}", name
            assert f" AS {target}\n" in (ROOT / "Dockerfile").read_text(), name
        else:
            assert image in IMAGES.values(), f"{name}: stack init does not look for the digest of {image}"

    def test_names_no_secret_in_its_command(self, name: str) -> None:
        said = f"{SERVICES[name].get('command')} {SERVICES[name].get('entrypoint')} {SERVICES[name].get('healthcheck')}"
        assert not [secret for secret in SECRETS if secret in said], name
        assert not re.search(r"://[^/@]*:[^/@]*@", said + str(environment_of(SERVICES[name]))), f"{name}: a URL"

    def test_has_every_secret_from_env_or_fails(self, name: str) -> None:
        for variable, value in environment_of(SERVICES[name]).items():
            if re.search(r"PASSWORD|SECRET|TOKEN|_KEY", variable) and value:
                assert re.fullmatch(r"\$\{(\w+):\?" + re.escape(INIT) + r"\}", value), f"{name}: {variable}"

    def test_tells_nobody_outside(self, name: str) -> None:
        if SERVICES[name]["image"].startswith("searchlab-"):
            assert "DO_NOT_TRACK=true MLFLOW_DISABLE_TELEMETRY=true" in (ROOT / "Dockerfile").read_text()
            assert environment_of(SERVICES[name]).get("MLFLOW_DISABLE_TELEMETRY", "true") == "true", name

    def test_writes_for_itself_alone(self, name: str) -> None:
        """With umask 077: the entry of our images sets it, PostgreSQL does by itself."""
        assert "entrypoint" not in SERVICES[name], name
        if SERVICES[name]["image"].startswith("searchlab-"):
            assert (ROOT / "stack" / "entry.sh").read_text().splitlines()[-2:] == ["umask 077", 'exec "$@"']
            assert 'ENTRYPOINT ["/usr/local/bin/entry"]' in (ROOT / "Dockerfile").read_text()
        else:
            assert name == "postgres"


@every_lasting_service
class TestEveryLastingService:
    def test_has_a_health_check(self, name: str) -> None:
        check = SERVICES[name].get("healthcheck", {})
        assert check.get("test", [""])[0] == "CMD", f"{name}: without a shell"
        assert {"interval", "timeout", "retries", "start_period"} <= set(check), name
        assert "start_interval" not in check, f"{name}: engines before 25 refuse it"

    def test_comes_back(self, name: str) -> None:
        assert SERVICES[name].get("restart") == "unless-stopped", name

    def test_waits_for_what_it_needs_to_be_healthy(self, name: str) -> None:
        needs = SERVICES[name].get("depends_on", {})
        assert needs or name == "postgres", name
        for other, how in needs.items():
            wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            assert how == {"condition": wanted}, f"{name} needs {other}"


def test_a_one_shot_service_runs_once_after_postgresql() -> None:
    for name in ONE_SHOT:
        assert SERVICES[name]["restart"] == "no", name
        assert SERVICES[name]["depends_on"] == {"postgres": {"condition": "service_healthy"}}, name


def test_whatever_uses_the_storage_waits_for_its_tables() -> None:
    for name in sorted(set(SERVICES) - ONE_SHOT - {"postgres"}):
        if "/optuna" in str(SERVICES[name]):
            assert "migrate" in SERVICES[name]["depends_on"], name


def test_ports_are_published_on_loopback_only() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert isinstance(port, str) and port.startswith("127.0.0.1:"), f"{name}: {port}"
    assert {name for name in SERVICES if SERVICES[name].get("ports")} == PUBLISHED
    assert [name for name in PUBLISHED if not SERVICES[name].get("profiles")] == ["mlflow"]


def test_only_mlflow_is_on_the_front_and_nothing_else_can_reach_out() -> None:
    assert {name for name in SERVICES if "front" in networks_of(name)} == {"mlflow"}
    for network, settings in FILE["networks"].items():
        users = {name for name in SERVICES if network in networks_of(name)}
        if not settings.get("internal"):
            masquerade = settings["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"]
            assert masquerade == "false" and users <= PUBLISHED, network
    assert FILE["networks"]["back"] == {"internal": True}
    assert FILE["networks"]["ray"] == {"internal": True}


def test_only_ray_is_on_the_network_of_ray_and_asks_for_a_token() -> None:
    on_it = {name for name in SERVICES if "ray" in networks_of(name)}
    assert on_it == {"ray-head", "ray-worker"}
    for name in on_it:
        assert environment_of(SERVICES[name])["RAY_AUTH_MODE"] == "token", name
        assert "RAY_AUTH_TOKEN" in environment_of(SERVICES[name]), name
        assert SERVICES[name]["profiles"] == ["ray"], name
    assert "--dashboard-host=127.0.0.1" in SERVICES["ray-head"]["command"]


def test_only_the_evaluator_sees_test_rows_uploads_and_the_data_of_the_team() -> None:
    for name in SERVICES:
        for source, target, _ in mounts(name):
            if source in {"sealed", "uploads"} or "SEARCHLAB_DATA" in source or target == "/data":
                assert name == "evaluator", f"{name} has {source}"
    assert {"sealed", "uploads"} <= {source for source, _, _ in mounts("evaluator")}
    (data,) = [mount for mount in mounts("evaluator") if mount[1] == "/data"]
    assert data[2], "the data of the team is not read only"


def test_where_the_home_is_mounted_the_place_of_the_seal_is_closed() -> None:
    for name in SERVICES:
        if name != "evaluator" and "home" in {source for source, _, _ in mounts(name)}:
            closed = [place for place in SERVICES[name]["tmpfs"] if place.startswith("/var/lib/searchlab/sealed:")]
            assert closed and "mode=0000" in closed[0] and "uid=0" in closed[0], name


def test_what_comes_from_the_checkout_is_read_only() -> None:
    for name in SERVICES:
        for source, target, read_only in mounts(name):
            assert read_only or source in FILE["volumes"], f"{name}: {source} at {target}"


def test_only_the_evaluator_is_the_admin_of_mlflow() -> None:
    holders = {name for name in SERVICES if "MLFLOW_ADMIN_PASSWORD" in str(environment_of(SERVICES[name]))}
    assert holders == {"mlflow", "evaluator"}


def test_each_role_of_the_database_is_where_it_belongs() -> None:
    def holders(secret: str) -> set[str]:
        return {name for name in SERVICES if secret in str(environment_of(SERVICES[name]))} - {"postgres"}

    assert holders("POSTGRES_PASSWORD") == set()
    assert holders("OPTUNA_OWNER_PASSWORD") == {"migrate"}
    assert holders("OPTUNA_DASHBOARD_PASSWORD") == {"dashboard"}
    assert holders("MLFLOW_DB_PASSWORD") == {"mlflow"}
    assert holders("OPTUNA_WORKER_PASSWORD") == {"worker", "worker-gpu", "evaluator", "ray-head"}


def test_postgresql_asks_everybody_for_a_password_and_ends_what_hangs() -> None:
    postgres = SERVICES["postgres"]
    settings = dict(word[2:].split("=") for word in postgres["command"][1:])
    assert settings["password_encryption"] == "scram-sha-256"
    assert re.fullmatch(r"[1-9]\d*s", settings["statement_timeout"])
    assert re.fullmatch(r"[1-9]\d*s", settings["idle_in_transaction_session_timeout"])
    assert environment_of(postgres)["POSTGRES_HOST_AUTH_METHOD"] == "scram-sha-256"
    for way in ("host", "local"):
        assert f"--auth-{way}=scram-sha-256" in environment_of(postgres)["POSTGRES_INITDB_ARGS"]
    assert networks_of("postgres") == {"back"}


def test_there_are_two_databases_whose_owners_are_no_superusers() -> None:
    roles = (ROOT / "stack" / "postgres" / "roles.sql").read_text()
    assert set(re.findall(r"CREATE DATABASE (\w+) OWNER (\w+)", roles)) == {("optuna", "optuna_owner"), ("mlflow",) * 2}
    assert set(re.findall(r"CREATE ROLE (\w+)", roles)) == {"optuna_owner", "worker", "dashboard", "mlflow"}
    assert not re.search(r"SUPERUSER|CREATEROLE|CREATEDB|PASSWORD '", roles)
    assert not re.search(r"GRANT (?!CONNECT|USAGE)[^;]* TO [^;]*worker", roles), "migrate says what workers may do"


def test_mlflow_asks_for_an_account_and_knows_its_hosts() -> None:
    mlflow = SERVICES["mlflow"]
    options = dict(word.removeprefix("--").partition("=")[::2] for word in mlflow["command"][2:])
    assert options["app-name"] == "basic-auth"
    assert options["allowed-hosts"].startswith(
        "mlflow:5000,localhost:${STACK_PORT:-5000},127.0.0.1:${STACK_PORT:-5000}"
    )
    assert "*" not in options["allowed-hosts"] + options["cors-allowed-origins"]
    assert not {"disable-security-middleware", "gunicorn-opts", "waitress-opts", "dev"} & set(options)
    environment = environment_of(mlflow)
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert "MLFLOW_BASIC_AUTH_FAIL_CLOSED" not in environment
    source = environment["MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"].replace("$$", "$")
    assert re.search(source, "mlflow-artifacts:/1/models/m-1/artifacts")
    assert not any(re.search(source, path) for path in ("/etc", "file:///etc", "s3://a", "x mlflow-artifacts:/"))
    settings = (ROOT / "stack" / "mlflow" / "auth.ini").read_text()
    assert "\ndefault_permission = READ\n" in settings and "\nauth_cache_ttl_seconds = 60\n" in settings
    assert "password =" not in settings


def test_pickles_are_opened_nowhere() -> None:
    for name in SERVICES:
        environment = environment_of(SERVICES[name])
        if any(variable.startswith("MLFLOW_") for variable in environment if "DB" not in variable):
            assert environment.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION") == "false" or name == "postgres", name


def test_s3_changes_where_artifacts_lie_and_nothing_else() -> None:
    assert set(S3["services"]) == {"mlflow"}
    assert set(S3["services"]["mlflow"]) == {"environment", "networks"}
    assert not [value for value in S3["services"]["mlflow"]["environment"].values() if value and "://" in value]


def test_what_an_image_is_made_of_is_pinned() -> None:
    recipe = (ROOT / "Dockerfile").read_text()
    assert not recipe.startswith("# syntax")
    assert set(re.findall(r"^FROM (\S+)", recipe, re.MULTILINE)) <= {"${PYTHON_IMAGE}"} | set(
        re.findall(r" AS (\S+)$", recipe, re.MULTILINE)
    )
    assert f"ARG PYTHON_IMAGE={IMAGES['PYTHON_IMAGE']}\n" in recipe
    assert "--require-hashes --only-binary :all:" in (ROOT / "stack" / "install.sh").read_text()
    installs = re.findall(r"pip --python[^\n]*", recipe)
    assert installs and all("--no-deps --no-index" in line for line in installs)
    assert "USER 10001:10001" in recipe and not re.search(r"ARG .*(PASSWORD|TOKEN|SECRET)", recipe)


def test_every_secret_of_the_file_is_made_by_stack_init() -> None:
    assert set(re.findall(r"\$\{(\w+):\?" + re.escape(INIT) + r"\}", TEXT)) == set(SECRETS)


def test_no_host_outside_is_named() -> None:
    places = [
        ROOT / "compose.yaml",
        ROOT / "Dockerfile",
        *(path for path in (ROOT / "stack").rglob("*") if path.is_file()),
    ]
    for path in places:
        found = set(re.findall(r"\bhttps?://([^/:\s,\"']+)", path.read_text()))
        assert found <= {"localhost", "127.0.0.1", "mlflow"}, f"{path.name}: {found}"


def compose(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return subprocess.run(
        ["docker", "compose", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A folder with compose.yaml and no `.env`."""
    if shutil.which("docker") is None or compose(tmp_path, "version").returncode:
        pytest.skip("COMPOSE FILE NOT READ BY COMPOSE: docker compose v2 is not installed here")
    shutil.copy(ROOT / "compose.yaml", tmp_path)
    return tmp_path


def test_without_env_compose_fails_and_names_the_command(fresh: Path) -> None:
    done = compose(fresh, "config")
    assert done.returncode != 0
    assert "searchlab stack init" in done.stderr


def test_with_env_compose_reads_the_whole_file(fresh: Path) -> None:
    (fresh / ".env").write_text("".join(f"{name}=x\n" for name in SECRETS))
    done = compose(fresh, "--profile", "*", "config", "--quiet")
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_a_volume_that_several_share_is_filled_by_one_that_they_wait_for() -> None:
    """Docker copies an image's folder into a new volume; containers that are made at once race, and `up` fails."""
    shared: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0] if isinstance(volume, str) else volume["source"]
            if not source.startswith((".", "/", "$")):
                shared.setdefault(source, set()).add(name)
    for source, names in shared.items():
        waiting = names - {"ray-worker"}  # which waits for ray-head, which waits
        first = {name for name in names if all(name in SERVICES[other]["depends_on"] for other in waiting - {name})}
        assert len(names) == 1 or first, f"{source} is filled by whichever of {sorted(names)} is the quickest"

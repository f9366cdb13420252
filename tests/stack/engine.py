"""A Docker engine, compose and base images for the stack's own test, where a machine has none.  Not a test file.

Where `docker info` answers, that engine is used as it is.  Else, as root on Debian, one is installed and started with
data, socket and settings in a folder of its own, and ended at the end; what it changed in the firewall is put back.
Images that no registry gives are made from Debian's packages, from the mirror that apt itself uses.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

STAND_INS = Path(__file__).resolve().parent / "stand_in"
PYTHON_IMAGE = "python:3.11-slim-bookworm"
POSTGRES_IMAGE = "postgres:16-bookworm"
NEWER = "trixie"
"""Debian's first release with compose v2."""


class Unavailable(Exception):
    """Why there is no engine here, for people."""


def call(*words: str | Path, timeout: float = 900, **more: object) -> subprocess.CompletedProcess[str]:
    """Run a program; its output in the error where it fails."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=timeout, **more)  # type: ignore[call-overload]
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done  # type: ignore[no-any-return]


def works(*words: str, timeout: float = 60) -> bool:
    """Whether a program is there and content."""
    try:
        done = subprocess.run(words, capture_output=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class Engine:
    """An engine that answers; `with` ends it if this object started it."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.gettempdir()) / f"searchlab-stack-{os.getuid()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._before: tuple[str, str] | None = None

    @staticmethod
    def answers() -> bool:
        """Whether an engine is there already."""
        return works("docker", "info", timeout=20)

    def __enter__(self) -> Engine:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.answers():
            self._start()
        try:
            if not works("docker", "compose", "version") or not works("docker", "buildx", "version"):
                self._install_plugins()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _start(self) -> None:
        if os.getuid() != 0 or shutil.which("apt-get") is None:
            raise Unavailable("no Docker engine answers, and only root on Debian can install one here")
        missing = [program for program in ("dockerd", "docker", "iptables") if shutil.which(program) is None]
        if missing:
            call("apt-get", "update")
            call("apt-get", "install", "-y", "--no-install-recommends", "docker.io", "iptables")
        self._before = (call("iptables-save").stdout, Path("/proc/sys/net/ipv4/ip_forward").read_text())
        socket = f"unix://{self.folder / 'docker.sock'}"
        os.environ["DOCKER_HOST"] = socket
        words = ["dockerd", "--host", socket, "--data-root", self.folder / "data", "--exec-root", self.folder / "exec"]
        with (self.folder / "dockerd.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*map(str, words), "--pidfile", str(self.folder / "dockerd.pid")],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not self.answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                words_of_it = (self.folder / "dockerd.log").read_text(errors="replace")[-2000:]
                self._stop()
                raise Unavailable(f"dockerd does not start:\n{words_of_it}")
            time.sleep(0.5)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(90)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None
        os.environ.pop("DOCKER_HOST", None)
        subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True, check=False)
        if self._before is not None:
            rules, forward = self._before
            if not rules.strip():  # nothing was set: a restore of nothing would leave what is there
                tables = ("nat", "filter")
                rules = "".join(f"*{table}\n{EMPTY[table]}COMMIT\n" for table in tables)
            subprocess.run(["iptables-restore"], input=rules, text=True, check=True)
            Path("/proc/sys/net/ipv4/ip_forward").write_text(forward)

    def _install_plugins(self) -> None:
        """Compose v2 and buildx, from the packages of a newer Debian, for this process and its children alone."""
        config = self.folder / "config"
        plugins = config / "cli-plugins"
        os.environ["DOCKER_CONFIG"] = str(config)
        if works("docker", "compose", "version") and works("docker", "buildx", "version"):
            return
        apt = self.folder / "apt"
        for name in ("lists/partial", "cache/archives/partial", "packages"):
            (apt / name).mkdir(parents=True, exist_ok=True)
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        (apt / "sources.list").write_text(f"deb [signed-by={keys}] {mirror()} {NEWER} main\n")
        shutil.copy("/var/lib/dpkg/status", apt / "status")
        options = [
            f"-oDir::Etc::sourcelist={apt / 'sources.list'}",
            "-oDir::Etc::sourceparts=-",
            f"-oDir::State::lists={apt / 'lists'}",
            f"-oDir::State::status={apt / 'status'}",
            f"-oDir::Cache={apt / 'cache'}",
            "-oAPT::Sandbox::User=root",
        ]
        call("apt-get", *options, "update")
        call("apt-get", *options, "download", "docker-compose", "docker-buildx", cwd=apt / "packages")
        plugins.mkdir(parents=True, exist_ok=True)
        for package in (apt / "packages").glob("*.deb"):
            call("dpkg-deb", "--extract", package, apt / "unpacked")
        for plugin in (apt / "unpacked").glob("usr/libexec/docker/cli-plugins/*"):
            shutil.copy(plugin, plugins / plugin.name)


EMPTY = {
    "nat": ":PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n",
    "filter": ":INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n",
}


def mirror() -> str:
    """Where apt of this machine gets Debian from."""
    for path in [*Path("/etc/apt/sources.list.d").glob("*.sources"), *Path("/etc/apt/sources.list.d").glob("*.list")]:
        found = re.search(r"(?:^URIs:|^deb(?: \[[^]]*\])?)\s*(\S*/debian)/?\s", path.read_text(), re.MULTILINE)
        if found:
            return found.group(1)
    plain = Path("/etc/apt/sources.list")
    found = re.search(r"^deb(?: \[[^]]*\])?\s+(\S*/debian)/?\s", plain.read_text() if plain.exists() else "", re.M)
    if found is None:
        raise Unavailable("apt names no mirror of Debian")
    return found.group(1)


def has_base_images() -> bool:
    """Whether nothing has to be pulled or made."""
    return all(works("docker", "image", "inspect", image) for image in (PYTHON_IMAGE, POSTGRES_IMAGE))


def provide_base_images(folder: Path) -> dict[str, str]:
    """See that both base images are there; where each came from."""
    found: dict[str, str] = {}
    for image, make in ((PYTHON_IMAGE, _make_python), (POSTGRES_IMAGE, _make_postgres)):
        if works("docker", "image", "inspect", image):
            found[image] = "here already"
        elif works("docker", "pull", "--quiet", image, timeout=600):
            found[image] = "pulled"
        else:
            make(folder)
            found[image] = "stand-in, from Debian's packages"
    return found


def _make_python(folder: Path) -> None:
    """Debian with its Python, under the name of the image that `Dockerfile` begins with."""
    if shutil.which("debootstrap") is None:
        if os.getuid() != 0 or shutil.which("apt-get") is None:
            raise Unavailable(f"{PYTHON_IMAGE} cannot be pulled, and only root on Debian can make one like it")
        call("apt-get", "update")
        call("apt-get", "install", "-y", "--no-install-recommends", "debootstrap")
    root = Path(tempfile.mkdtemp(prefix="base-", dir=folder))
    try:
        packages = "ca-certificates,python3,python3-pip,python3-venv"
        call("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", root, mirror())
        for place in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / place, ignore_errors=True)
        for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            marker.unlink()
        (root / "etc/apt/apt.conf.d/docker-clean").write_text('Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n')
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        own = list(Path("/usr/local/share/ca-certificates").glob("*.crt"))  # of a proxy that this machine trusts
        for certificate in own:
            shutil.copy(certificate, root / "usr/local/share/ca-certificates")
        call("chroot", root, "update-ca-certificates")
        bundle = "/etc/ssl/certs/ca-certificates.crt"
        change = [f"--change=ENV PIP_CERT={bundle} SSL_CERT_FILE={bundle}"] if own else []
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:
            call("docker", "import", *change, "-", PYTHON_IMAGE, stdin=tar.stdout)
    finally:
        shutil.rmtree(root)


def _make_postgres(folder: Path) -> None:
    recipe = STAND_INS / "postgres.Dockerfile"
    words = ["docker", "build", "--tag", POSTGRES_IMAGE, "--build-arg", f"PYTHON_IMAGE={PYTHON_IMAGE}"]
    call(*words, "--file", recipe, STAND_INS)

"""What `searchlab doctor` looks at: libraries, devices, disk, stores."""

from __future__ import annotations

import importlib.util
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from searchlab import devices
from searchlab.errors import SearchlabError
from searchlab.records import Objective, TrainingPlan
from searchlab.redact import redacted
from searchlab.runner.engines import backend_of, candidates
from searchlab.runner.finding import Finding
from searchlab.runner.gpu_health import examine_gpus
from searchlab.runner.home import Home

LIBRARIES = ("keras", "tensorflow", "optuna", "mlflow", "pydantic", "numpy", "pandas", "scikit-learn")
EXTRAS = {
    "statsmodels": "statsmodels",
    "cmaes": "cmaes",
    "gp": "torch",
    "onnx": "tf2onnx",
    "jax": "jax",
    "torch": "torch",
    "gpu": "pynvml",
    "ray": "ray",
    "benchmarks": "keras_tuner",
}
LITTLE_SPACE = 2 << 30
PLAIN = TrainingPlan(task="", objective=Objective("", "minimize"), epochs=1)
"""A plan that asks for nothing special."""


def versions(libraries: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """The installed versions by name, Python's and searchlab's among them; what is absent is left out."""
    found = {"python": platform.python_version()}
    for library in ("searchlab", *libraries):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def examine(home: Home, *, storage: str | None, tracking: str | None) -> list[Finding]:
    """Everything worth knowing, in a fixed order; never raises for something that is merely absent."""
    return [*_libraries(), *_devices(), *_disk(home), *_stores(home, storage, tracking)]


def _libraries() -> Iterator[Finding]:
    installed = versions()
    yield Finding("good", "python", installed["python"])
    for library in LIBRARIES:
        known = installed.get(library)
        yield Finding("good", library, known) if known else Finding("bad", library, f"missing: pip install {library}")
    here = [extra for extra, module in EXTRAS.items() if importlib.util.find_spec(module)]
    absent = [extra for extra in EXTRAS if extra not in here]
    yield Finding(
        "note", "extras", f"installed: {', '.join(here) or 'none'}; not installed: {', '.join(absent) or 'none'}"
    )


def _devices() -> Iterator[Finding]:
    yield Finding("good", "processor", f"{devices.cores()} cores, {devices.memory() / 2**30:.1f} GiB of memory")
    engines = candidates(PLAIN)
    there = ", ".join(f"{name} on {backend_of(name)}" for name in engines)
    yield Finding("good", "engines", f"{there}; engine: auto takes the first unless `show --engines` measured better")
    yield from examine_gpus([backend_of(name) for name in engines])


def _disk(home: Home) -> Iterator[Finding]:
    existing = next(folder for folder in (home.folder, *home.folder.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    words = f"{home.folder} ({free / 2**30:.1f} GiB free)"
    try:
        home.make()
        probe = home.folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        yield Finding("bad", "home", f"{words}: cannot be written: {error.strerror}")
        return
    yield Finding("good" if free > LITTLE_SPACE else "bad", "home", words)


def _stores(home: Home, storage: str | None, tracking: str | None) -> Iterator[Finding]:
    from searchlab.search.storage import open_storage
    from searchlab.tracking import TRACKERS

    url = storage or home.storage_url
    try:
        open_storage(url)
        yield Finding("good", "storage", redacted(url))
    except SearchlabError as error:
        yield Finding("bad", "storage", str(error))
    try:
        fault = TRACKERS.get("mlflow").check(tracking, home=home.folder)
        yield (
            Finding("bad", "tracking", fault)
            if fault
            else Finding("good", "tracking", redacted(tracking or home.tracking_uri))
        )
    except SearchlabError as error:
        yield Finding("bad", "tracking", str(error))

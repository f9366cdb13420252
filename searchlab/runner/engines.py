"""Which engine trains a study, on which Keras backend, and how many trials together: what `engine: auto` means.

`choose` takes what was measured on this machine for such a study (`runner/calibration.py`), else a rule that follows
from measurements on two CPU cores (benchmarks/RESULTS.md).  Nothing here loads Keras: an engine is chosen before the
first child starts, and the child is started with the backend that the engine needs.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchlab.errors import MissingExtra, SpecError
from searchlab.records import TrainingPlan
from searchlab.training import ENGINES

AUTO = "auto"

BACKENDS: Mapping[str, tuple[str, ...]] = {"fused": ("tensorflow",), "population": ("jax",)}
"""The backends of the engines that do not run on all."""

DEFAULT_BACKEND = "tensorflow"

TOGETHER: Mapping[str, int] = {"mlp": 16, "cnn": 4, "rnn": 2}
"""How many trials a population of such networks holds on a CPU core; more of them only wait for the caches."""


@dataclass(frozen=True)
class Choice:
    """How a study is trained."""

    engine: str
    backend: str
    together: int
    """The most trials of one shape that a child trains at once."""
    reason: str

    def environment(self) -> dict[str, str]:
        """What a child needs for it."""
        return {"KERAS_BACKEND": self.backend}


def choose(
    asked: str, *, plan: TrainingPlan, families: tuple[str, ...], measured: Mapping[str, float] | None = None
) -> Choice:
    """The engine that was `asked` for by name, or with "auto" the fastest that there is.

    `measured` holds seconds a trial by engine, where this machine has tried them on such a study.

    Raises:
        SpecError: The engine asked for does not run on the backend that KERAS_BACKEND names.
        MissingExtra: Its library is not installed.
    """
    if asked != AUTO:
        return _named(asked, families)
    possible = candidates(plan)
    if measured and set(possible) <= set(measured):
        engine = min(possible, key=lambda name: measured[name])
        words = ", ".join(f"{name} {measured[name]:.2g} s" for name in possible)
        return _choice(engine, families, f"the fastest here: {words} a trial")
    return _choice(possible[0], families, _rule(possible[0], plan))


def candidates(plan: TrainingPlan) -> tuple[str, ...]:
    """The engines that can train such a plan here, the likely fastest first."""
    asked = os.environ.get("KERAS_BACKEND")
    found = ["fit"]
    if plan.precision == "mixed_float16" or plan.jit_compile is True:
        return tuple(found)
    if asked in (None, "tensorflow") and _installed("tensorflow") and backend_of("fused") == "tensorflow":
        found.insert(0, "fused")
    if asked in (None, "jax") and _installed("jax") and _is_there("population"):
        found.insert(0, "population")
    return tuple(found)


def backend_of(engine: str) -> str:
    """The backend that a child of `engine` runs on: what is named, else what the engine needs, else Keras's own."""
    named = os.environ.get("KERAS_BACKEND")
    needed = BACKENDS.get(engine)
    if named:
        return named
    own = _configured()
    return own if needed is None or own in needed else needed[0]


def _named(engine: str, families: tuple[str, ...]) -> Choice:
    needed, backend = BACKENDS.get(engine), backend_of(engine)
    if needed is not None and backend not in needed:
        raise SpecError(
            f"the engine {engine!r} runs on {' or '.join(needed)}, but KERAS_BACKEND is {backend!r}: "
            f"unset it, or ask for engine: auto"
        )
    if not _installed(backend):
        raise MissingExtra.of(backend, needed_for=f"the engine {engine!r}")
    return _choice(engine, families, "asked for")


def _choice(engine: str, families: tuple[str, ...], reason: str) -> Choice:
    together = min((TOGETHER.get(family, 1) for family in families), default=1) if engine == "population" else 1
    return Choice(engine, backend_of(engine), together, reason)


def _rule(engine: str, plan: TrainingPlan) -> str:
    if engine == "population":
        return "JAX is installed: many trials at once"
    if engine == "fused":
        return "one program a shape; with JAX installed (extra jax) many trials would train at once"
    if plan.precision == "mixed_float16":
        return "mixed_float16 needs the loss scaling of Keras's own fit"
    if plan.jit_compile is True:
        return "jit_compile: true is Keras's own fit under XLA"
    return f"the backend {backend_of('fit')} has no faster one"


def _installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def _is_there(engine: str) -> bool:
    """Whether this searchlab has the engine."""
    return engine in ENGINES.names()


def _configured() -> str:
    """The backend in Keras's own settings file, which KERAS_HOME or the user's home has."""
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        content: Any = json.loads((folder / "keras.json").read_text(encoding="utf-8"))
        return str(content.get("backend", DEFAULT_BACKEND))
    except (OSError, ValueError, AttributeError):
        return DEFAULT_BACKEND

"""Which engine trains a study, on which Keras backend, and how many trials together: what `engine: auto` means.

`choose` takes what was measured on this machine for such a study (`runner/calibration.py`), else a rule that follows
from measurements on two CPU cores (benchmarks/RESULTS.md).  Nothing here loads Keras: an engine is chosen before the
first child starts, and the child is started with the backend that the engine needs.

Why `training.backend` and KERAS_BACKEND must agree: the backend is part of what a study is, so that neither may
overrule the other in silence.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from searchlab import atomic
from searchlab.errors import Mark, MissingExtra, SpecError
from searchlab.spec import TrainingSpec

AUTO = "auto"

FILE = "engine.json"
"""Of a study's folder: what trains it."""

BACKENDS: Mapping[str, tuple[str, ...]] = {"fused": ("tensorflow",), "population": ("jax", "tensorflow")}
"""The backends of the engines that do not run on all, the faster first."""

DEFAULT_BACKEND = "tensorflow"

TOGETHER: Mapping[str, int] = {"mlp": 16, "cnn": 4, "rnn": 4}
"""Trials that a population of such networks is given at once; on a CPU core more of them only wait for the caches."""

WORTH_COMPILING: Mapping[str, int] = {"mlp": 24, "cnn": 12, "rnn": 3}
"""Trials of one shape from which on a population on JAX is faster on a CPU than `fused`, compiling included.

To compile a shape for JAX takes 1 to 2 s more than to trace it for TensorFlow (once; the next process has it in the
cache).  Measured in pairs, two cores, trials a minute with an empty cache and again: CNN on 8×8 pixels, 40 trials a
shape 126 and 167 (`fused` 107 and 118), 2.2 trials a shape 50 and 100 (89 and 101); LSTM on 64 characters, 3.3 trials
a shape 51 and 87 (38 and 42).
"""

SMALL_PICTURE = 150
"""Numbers of a picture up to which that holds of convolutions.

Of 16×16 pixels an epoch takes 43 ms in place of 55 (width 16) or 117 in place of 121 (width 32); of 32×32 pixels a
study of 40 trials of one shape made 37 and 38 trials a minute (`fused` 40 and 41).
"""

WORTH_STACKING: Mapping[str, int] = {"mlp": 16}
"""Trials of one shape from which on a population on TensorFlow is faster than `fused`.

Its programs have four lanes, which together take twice the time of a trial in `fused`.  Samplers that learn ask for one
trial at a time at first, and so fill one lane.
"""

JAX_CACHE = "jax-cache"
"""Folder of compiled programs, in the user's cache: what took seconds to compile takes tenths in the next process."""


@dataclass(frozen=True)
class Choice:
    """How a study is trained."""

    engine: str
    backend: str
    together: int
    """The most trials of one shape that a child trains at once."""
    reason: str

    def keep(self, folder: Path) -> None:
        """Write it down in the study's folder, for `settled`."""
        atomic.write_json(folder / FILE, asdict(self))

    def environment(self) -> dict[str, str]:
        """What a child needs for it."""
        if self.engine != "population" or self.backend != "jax":
            return {"KERAS_BACKEND": self.backend}
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "searchlab" / JAX_CACHE
        return {
            "KERAS_BACKEND": self.backend,
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }


class Plan(Protocol):
    """What is asked of a training, as a `TrainingSpec` or a `TrainingPlan` has it."""

    @property
    def backend(self) -> str:
        """The Keras backend, or "auto"."""

    @property
    def precision(self) -> str:
        """Keras's dtype policy."""

    @property
    def jit_compile(self) -> bool | Literal["auto"]:
        """Whether XLA compiles the training step."""


def settled(
    folder: Path,
    training: TrainingSpec,
    *,
    families: tuple[str, ...],
    measured: Mapping[str, float],
    trials_a_shape: float = 1.0,
    numbers: int | None = None,
) -> Choice:
    """`choose` for the study in `folder`; with "auto" a study that was begun stays with its engine and backend.

    Why: another backend draws other first weights from a trial's seed, and the trials of a study shall compare.
    """
    asked, begun = training.engine, _read(folder / FILE)
    if asked == AUTO and begun.get("engine") in candidates(training):
        asked = begun["engine"]
    if asked == begun.get("engine") and named(training.backend) is None and _installed(str(begun.get("backend"))):
        return _choice(asked, training, families, "asked for", backend=begun["backend"])
    return choose(
        asked, plan=training, families=families, measured=measured, trials_a_shape=trials_a_shape, numbers=numbers
    )


def choose(
    asked: str,
    *,
    plan: Plan,
    families: tuple[str, ...],
    measured: Mapping[str, float] | None = None,
    trials_a_shape: float = 1.0,
    numbers: int | None = None,
) -> Choice:
    """The engine that was `asked` for by name, or with "auto" the fastest that there is.

    `measured` holds seconds a trial by engine, where this machine has tried them on such a study; `trials_a_shape` is
    how many trials of the study share a compiled program, `numbers` how many an example has, if that is known.

    Raises:
        SpecError: The engine asked for does not run on the backend that is named, or two are named.
        MissingExtra: Its library is not installed.
    """
    agree(plan.backend, asked)
    if asked != AUTO:
        return _choice(asked, plan, families, "asked for")
    possible = candidates(plan)
    if measured and set(possible) <= set(measured):
        engine = min(possible, key=lambda name: measured[name])
        words = ", ".join(f"{name} {measured[name]:.2g} s" for name in possible)
        return _choice(engine, plan, families, f"the fastest here: {words} a trial")
    is_large = "cnn" in families and (numbers is None or numbers > SMALL_PICTURE)
    needed = math.inf if is_large else max((WORTH_COMPILING.get(f, math.inf) for f in families), default=math.inf)
    if "population" in possible and backend_of("population", plan.backend) == "jax" and trials_a_shape >= needed:
        words = f"{trials_a_shape:.0f} trials share a compiled program, which pays from {needed:.0f} on"
        return _choice("population", plan, families, words)
    needed = max((WORTH_STACKING.get(family, math.inf) for family in families), default=math.inf)
    if "population" in possible and "fused" in possible and trials_a_shape >= needed:
        words = f"{trials_a_shape:.0f} trials share a traced program, which pays from {needed:.0f} on"
        return _choice("population", plan, families, words, backend="tensorflow")
    return _choice(possible[0], plan, families, _rule(possible[0], plan))


def candidates(plan: Plan) -> tuple[str, ...]:
    """The engines that can train such a plan here, the likely fastest first."""
    asked = named(plan.backend)
    found = ["fit"]
    if plan.precision == "mixed_float16" or plan.jit_compile is True:
        return tuple(found)
    if any(asked in (None, backend) and _installed(backend) for backend in BACKENDS["population"]):
        found.insert(0, "population")
    if asked in (None, "tensorflow") and _installed("tensorflow"):
        found.insert(0, "fused")
    return tuple(found)


def named(backend: str = AUTO) -> str | None:
    """The backend that a study names as its `backend`, else KERAS_BACKEND; None when neither does."""
    return os.environ.get("KERAS_BACKEND") or None if backend == AUTO else backend


def agree(backend: str, engine: str, mark: Mark | None = None) -> None:
    """Nothing, when the study's `backend`, KERAS_BACKEND and what `engine` needs can be had together.

    Raises:
        SpecError: They cannot.
    """
    inherited = os.environ.get("KERAS_BACKEND") or backend
    if backend not in (AUTO, inherited):
        raise SpecError(
            f"the study's backend is {backend!r}, but KERAS_BACKEND is {inherited!r}: unset it, or ask for the same",
            mark,
        )
    needed, asked = BACKENDS.get(engine), named(backend)
    if needed is not None and asked is not None and asked not in needed:
        name, remedy = ("backend", "leave it out") if backend != AUTO else ("KERAS_BACKEND", "unset it")
        raise SpecError(
            f"the engine {engine!r} runs on {' or '.join(needed)}, but {name} is {asked!r}: "
            f"{remedy}, or ask for engine: auto",
            mark,
        )


def backend_of(engine: str, backend: str = AUTO) -> str:
    """The backend that a child of `engine` runs on: what is named, else what the engine needs, else Keras's own."""
    needed, asked = BACKENDS.get(engine), named(backend)
    if asked is not None:
        return asked
    if needed is None:
        return _configured()
    return next((backend for backend in needed if _installed(backend)), needed[0])


def _choice(engine: str, plan: Plan, families: tuple[str, ...], reason: str, *, backend: str | None = None) -> Choice:
    """`engine`, once its library was seen to be there."""
    backend = backend_of(engine, plan.backend) if backend is None else backend
    if not _installed(backend):
        what = f"the engine {engine!r}" if engine in BACKENDS else f"the backend {backend!r}"
        raise MissingExtra.of(backend, needed_for=what)
    together = min((TOGETHER.get(family, 1) for family in families), default=1) if engine == "population" else 1
    return Choice(engine, backend, together, reason)


def _rule(engine: str, plan: Plan) -> str:
    if engine == "population":
        return "on the JAX backend many trials train at once"
    if engine == "fused":
        return "one program a shape; show --engines measures whether population (faster with the extra jax) is"
    if plan.precision == "mixed_float16":
        return "mixed_float16 needs the loss scaling of Keras's own fit"
    if plan.jit_compile is True:
        return "jit_compile: true is Keras's own fit under XLA"
    return f"the backend {backend_of('fit', plan.backend)} has no faster one"


def _installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def _configured() -> str:
    """The backend in Keras's own settings file, which KERAS_HOME or the user's home has."""
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    return str(_read(folder / "keras.json").get("backend", DEFAULT_BACKEND))


def _read(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

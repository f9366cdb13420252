"""Which engine trains: the rule, what was measured, and what is asked for by name."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Any

import numpy as np
import pytest

from searchlab.errors import MissingExtra, SpecError
from searchlab.records import Objective, TrainingPlan
from searchlab.runner.calibration import numbers_of, trials_a_shape
from searchlab.runner.check import check
from searchlab.runner.engines import choose, settled
from searchlab.spec import TrainingSpec
from searchlab.spec.load import load_text

PLAN = TrainingPlan(task="image_classification", objective=Objective("val_accuracy", "maximize"), epochs=2)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No backend is named, Keras has no settings of its own, and TensorFlow alone is installed."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    install(monkeypatch, "tensorflow")


def install(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in libraries else None)


def on(backend: str) -> TrainingPlan:
    return dataclasses.replace(PLAN, backend=backend)


def test_auto_takes_the_fused_engine_on_tensorflow() -> None:
    choice = choose("auto", plan=PLAN, families=("cnn",))
    assert (choice.engine, choice.backend, choice.together) == ("fused", "tensorflow", 1)
    assert "population" in choice.reason


@pytest.mark.parametrize("changes", [{"precision": "mixed_float16"}, {"jit_compile": True}])
def test_auto_leaves_to_fit_what_only_fit_can_do(changes: dict[str, Any]) -> None:
    choice = choose("auto", plan=dataclasses.replace(PLAN, **changes), families=("cnn",))
    assert choice.engine == "fit" and ("mixed_float16" in choice.reason or "jit_compile" in choice.reason)


def test_what_was_measured_beats_the_rule() -> None:
    choice = choose("auto", plan=PLAN, families=("cnn",), measured={"fit": 1.0, "fused": 2.0, "population": 3.0})
    assert choice.engine == "fit" and "2 s" in choice.reason


def test_half_a_measurement_decides_nothing() -> None:
    assert choose("auto", plan=PLAN, families=("cnn",), measured={"fit": 1.0}).engine == "fused"


def test_on_a_backend_without_a_faster_engine_auto_means_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "tensorflow", "torch")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    choice = choose("auto", plan=PLAN, families=("mlp",))
    assert (choice.engine, choice.backend) == ("fit", "torch")


@pytest.mark.parametrize(("backend", "engine"), [("tensorflow", "population"), ("jax", "population"), ("torch", "fit")])
def test_a_study_names_its_backend_and_auto_keeps_to_it(
    backend: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, "tensorflow", "jax", "torch")
    choice = choose("auto", plan=on(backend), families=("mlp",), trials_a_shape=40.0)
    assert (choice.engine, choice.backend) == (engine, backend)
    assert choice.environment()["KERAS_BACKEND"] == backend


def test_a_backend_that_is_not_installed_names_the_extra() -> None:
    with pytest.raises(MissingExtra, match=r"the backend 'torch' needs .*searchlab\[torch\]"):
        choose("auto", plan=on("torch"), families=("mlp",))


def test_a_study_and_the_environment_that_name_two_backends_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(SpecError, match=r"the study's backend is 'jax', but KERAS_BACKEND is 'torch': unset it"):
        choose("auto", plan=on("jax"), families=("mlp",))
    install(monkeypatch, "torch")
    assert choose("auto", plan=on("torch"), families=("mlp",)).backend == "torch"


def test_an_engine_and_a_backend_that_do_not_go_together_are_told_with_their_place() -> None:
    content = """
study: s
data: {source: digits}
task: image_classification
space: {model: mlp}
training: {engine: fused, backend: jax}
"""
    with pytest.raises(SpecError, match=r":6:\d+: the engine 'fused' runs on tensorflow, but backend is 'jax'"):
        check(load_text(content, file="s.yaml"))


def test_keras_s_own_settings_name_the_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    install(monkeypatch, "tensorflow", "torch")
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    assert choose("fit", plan=PLAN, families=("mlp",)).backend == "torch"
    assert choose("fused", plan=PLAN, families=("mlp",)).backend == "tensorflow"


def test_an_engine_on_the_wrong_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(SpecError, match=r"fused.*tensorflow.*'torch'"):
        choose("fused", plan=PLAN, families=("mlp",))


def test_an_engine_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(MissingExtra, match=r"searchlab\[tensorflow\]"):
        choose("fused", plan=PLAN, families=("mlp",))


def test_children_are_started_with_the_backend() -> None:
    assert choose("fused", plan=PLAN, families=("mlp",)).environment() == {"KERAS_BACKEND": "tensorflow"}


def test_auto_takes_a_population_where_many_trials_share_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "tensorflow", "jax")
    many = choose("auto", plan=PLAN, families=("mlp",), trials_a_shape=40.0)
    assert (many.engine, many.backend, many.together) == ("population", "jax", 16)
    assert "40 trials" in many.reason
    some = choose("auto", plan=PLAN, families=("mlp",), trials_a_shape=20.0)
    assert (some.engine, some.backend, some.environment()) == (
        "population",
        "tensorflow",
        {"KERAS_BACKEND": "tensorflow"},
    )
    assert choose("auto", plan=PLAN, families=("mlp",), trials_a_shape=3.0).engine == "fused"
    assert choose("auto", plan=PLAN, families=("mlp", "of_my_own"), trials_a_shape=40.0).engine == "fused"


def test_a_population_of_convolutions_is_for_small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "tensorflow", "jax")
    for numbers, engine in ((64, "population"), (1024, "fused"), (None, "fused")):
        choice = choose("auto", plan=PLAN, families=("cnn",), trials_a_shape=40.0, numbers=numbers)
        assert choice.engine == engine, numbers
    assert choose("auto", plan=PLAN, families=("cnn",), trials_a_shape=2.0, numbers=64).engine == "fused"
    assert choose("auto", plan=PLAN, families=("rnn",), trials_a_shape=3.3).engine == "population"


def test_the_size_of_an_example_is_known_before_it_is_read(tmp_path: Any) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((5, 6, 7), np.uint8), y=np.arange(5))
    content = """
study: s
data: {source: npz, path: %s, x: %s, kind: images}
task: image_classification
space: {model: cnn}
"""
    assert numbers_of(load_text(content % (tmp_path / "d.npz", "x"))) == 42
    assert numbers_of(load_text(content % (tmp_path / "d.npz", "z"))) is None
    assert numbers_of(load_text(content % (tmp_path / "none.npz", "x"))) is None


def test_without_jax_only_dense_networks_are_stacked() -> None:
    many = choose("auto", plan=PLAN, families=("mlp",), trials_a_shape=40.0)
    assert (many.engine, many.backend, many.together) == ("population", "tensorflow", 16)
    assert choose("auto", plan=PLAN, families=("rnn",), trials_a_shape=40.0).engine == "fused"
    assert choose("population", plan=PLAN, families=("cnn",)).backend == "tensorflow"


def test_a_study_that_was_begun_stays_on_its_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """JAX, which a population would run on, was installed in between."""
    spec = TrainingSpec(epochs=2)
    choose("auto", plan=PLAN, families=("mlp",), trials_a_shape=40.0).keep(tmp_path)
    install(monkeypatch, "tensorflow", "jax")
    for asked in ("auto", "population"):
        again = settled(tmp_path, spec.model_copy(update={"engine": asked}), families=("mlp",), measured={})
        assert (again.engine, again.backend) == ("population", "tensorflow"), asked
    install(monkeypatch, "jax")
    assert settled(tmp_path, spec, families=("mlp",), measured={}).backend == "jax"


@pytest.mark.parametrize(
    ("width", "trials", "expected"),
    [("64", 40, 40.0), ("[32, 64]", 40, 20.0), ("{low: 16, high: 64, step: 1}", 40, 1.0), ("[32, 64]", 1, 1.0)],
)
def test_how_many_trials_share_a_program(width: str, trials: int, expected: float) -> None:
    """Numbers that change no graph do not count, the optimizer and its options among them."""
    content = f"""
study: s
data: {{source: digits}}
task: image_classification
space:
  model: {{mlp: {{depth: 1, width: {width}, dropout: {{low: 0.0, high: 0.5}}}}}}
  optimizer: {{adam: {{learning_rate: {{low: 1e-4, high: 1e-1, log: true}}}}, sgd: {{learning_rate: 0.1}}}}
search: {{sampler: random, trials: {trials}}}
"""
    assert trials_a_shape(load_text(content)) == pytest.approx(expected, abs=0.2)

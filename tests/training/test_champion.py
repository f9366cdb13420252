"""The chosen model: rebuilt, completed with its preprocessing, written and read safely."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tiny_problem as tiny

from searchlab.data import Array
from searchlab.errors import DataError, MissingExtra, SpecError, UnknownName
from searchlab.records import Trial
from searchlab.tasks import TASKS
from searchlab.training import champion, weights
from searchlab.training.recipe import Recipe

CALLS: list[int] = []


def _touch() -> int:
    """What code inside a model file would call."""
    CALLS.append(1)
    return 1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A model whose weights went through a file."""
    encoding, _ = tiny.problem()
    built = Recipe.of(tiny.trial(), tiny.plan(), encoding).model()
    shifted = [array + 0.01 for array in built.get_weights()]
    path = weights.save(tmp_path_factory.mktemp("w") / weights.name_of(0), shifted)
    restored = champion.restore(tiny.plan(), encoding, tiny.trial(), path)
    assert all(np.array_equal(a, b) for a, b in zip(shifted, restored.get_weights(), strict=True))
    yield restored


@pytest.fixture(scope="module")
def complete(model: Any) -> Any:
    return champion.exportable(model, tiny.problem()[0])


@pytest.fixture(scope="module")
def raw() -> Array:
    return tiny.digits()[1].validation.x


def test_weights_of_another_configuration_are_refused(tmp_path: Path, model: Any) -> None:
    path = weights.save(tmp_path / "w.npz", model.get_weights())
    other = tiny.trial(model__mlp__width=17)
    with pytest.raises(DataError, match="another model"):
        champion.restore(tiny.plan(), tiny.problem()[0], other, path)


def test_the_complete_model_takes_raw_inputs_and_gives_probabilities(model: Any, complete: Any, raw: Array) -> None:
    encoding, splits = tiny.problem()
    decoded = encoding.decode(champion.predict(model, splits.validation.x))
    probability = champion.predict(complete, raw)
    assert probability.dtype == np.float32
    np.testing.assert_allclose(probability, decoded["probability"], atol=1e-5)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-5)


def test_the_complete_model_of_row_sequences_takes_images(raw: Array) -> None:
    collection, splits = tiny.digits()
    task = TASKS.get("sequence_classification")
    encoding = task.fit(collection, splits.train)
    from searchlab.space import Params

    trial = Trial(0, Params({"model": "rnn", "model.rnn.width": 4}), 1)
    core = Recipe.of(trial, tiny.plan(task="sequence_classification"), encoding).model()
    decoded = encoding.decode(champion.predict(core, encoding.encode(splits.validation).x))
    probability = champion.predict(champion.exportable(core, encoding), raw)
    np.testing.assert_allclose(probability, decoded["probability"], atol=1e-5)


def test_the_complete_regressor_of_a_table_takes_gaps_and_gives_the_user_s_units() -> None:
    from searchlab.data import Collection, Examples
    from searchlab.space import Params

    rng = np.random.default_rng(0)
    x = rng.normal(5.0, 3.0, (60, 4)).astype(np.float32)
    x[3, 1] = np.nan
    examples = Examples(x, x[:, 0] * 100.0)
    task = TASKS.get("tabular_regression")
    encoding = task.fit(Collection(examples, "table", "made", columns=tuple("abcd")), examples)
    trial = Trial(0, Params({"model": "mlp", "model.mlp.width": 4}), 1)
    core = Recipe.of(trial, tiny.plan(task="tabular_regression", objective=tiny.LOSS), encoding).model()
    decoded = encoding.decode(champion.predict(core, encoding.encode(examples).x))["value"]
    found = champion.predict(champion.exportable(core, encoding), x)
    np.testing.assert_allclose(found.reshape(-1), np.asarray(decoded).reshape(-1), rtol=1e-4)


def test_a_keras_file_gives_the_same_numbers_again(tmp_path: Path, complete: Any, raw: Array) -> None:
    path = champion.export(complete, tmp_path / "best.keras")
    assert [file.name for file in tmp_path.iterdir()] == ["best.keras"]
    np.testing.assert_array_equal(champion.predict(champion.load_keras(path), raw), champion.predict(complete, raw))


def test_a_saved_model_is_a_new_folder(tmp_path: Path, complete: Any, raw: Array) -> None:
    path = champion.export(complete, tmp_path / "saved", "saved_model")
    assert (path / "saved_model.pb").exists()
    layer = keras.layers.TFSMLayer(str(path), call_endpoint="serve")
    np.testing.assert_allclose(np.asarray(layer(raw.astype("float32"))), champion.predict(complete, raw), atol=1e-6)
    with pytest.raises(SpecError, match="there already"):
        champion.export(complete, path, "saved_model")


def test_onnx_needs_its_extra(tmp_path: Path, complete: Any, raw: Array) -> None:
    path = tmp_path / "best.onnx"
    if importlib.util.find_spec("tf2onnx") is None:
        with pytest.raises(MissingExtra, match=r"searchlab\[onnx\]"):
            champion.export(complete, path, "onnx")
        assert list(tmp_path.iterdir()) == []
    else:
        assert champion.export(complete, path, "onnx").stat().st_size > 1000


def test_wrong_names_are_refused(tmp_path: Path, complete: Any) -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'keras'"):
        champion.export(complete, tmp_path / "best.keras", "kera")
    with pytest.raises(SpecError, match=r"ends with \.keras"):
        champion.export(complete, tmp_path / "best.h5")


def test_only_keras_files_are_loaded_and_none_that_carry_code(tmp_path: Path, complete: Any) -> None:
    old = tmp_path / "best.h5"
    old.write_bytes(b"\x89HDF\r\n")
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"PK")
    sly = tmp_path / "sly.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * _touch())]).save(sly)
    CALLS.clear()
    for path in (old, broken, sly, tmp_path / "absent.keras"):
        with pytest.raises(DataError, match=path.name):
            champion.load_keras(path)
    assert CALLS == []

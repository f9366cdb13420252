"""What holds for every task and every kind of collection that it accepts, those not written yet included."""

import json
import pickle
from dataclasses import replace

import keras
import numpy as np
import pytest
from made_up import N, collection_of, is_classification
from other_values import other_value

from searchlab.errors import DataError
from searchlab.tasks import TASKS

CASES = [(name, kind) for name in TASKS.names() for kind in TASKS.get(name).accepts]


def fitted(name, kind):
    collection = collection_of(name, kind)
    encoding = TASKS.get(name).fit(collection, collection.examples.take(np.arange(30)))
    return encoding, encoding.encode(collection.examples)


def perfect(name, encoding, arrays):
    return np.eye(encoding.problem.units)[arrays.y] * 50.0 if is_classification(name) else arrays.y


def scores(task, encoding, y, outputs):
    return {metric: task.combine(metric, each) for metric, each in task.per_example(encoding, y, outputs).items()}


def model_of(layers, like):
    return keras.Sequential([keras.Input(like.shape[1:], dtype=like.dtype.name), *layers])


@pytest.mark.parametrize("name, kind", CASES)
class TestEveryTask:
    def test_encodes_what_its_problem_says(self, name, kind):
        encoding, arrays = fitted(name, kind)
        problem = encoding.problem
        assert arrays.x.shape == (N, *problem.input_shape)
        assert arrays.x.dtype == (np.int32 if problem.kind == "tokens" else np.float32)
        assert np.isfinite(arrays.x).all()
        if problem.kind == "tokens":
            assert arrays.x.min() >= 0 and arrays.x.max() < problem.vocabulary_size
        else:
            assert np.abs(arrays.x).max() < 10
        if is_classification(name):
            assert arrays.y.shape == (N,) and arrays.y.dtype == np.int32
        else:
            assert arrays.y.shape == (N, problem.units) and arrays.y.dtype == np.float32

    def test_encodes_inputs_whose_targets_nobody_knows(self, name, kind):
        encoding, arrays = fitted(name, kind)
        collection = collection_of(name, kind)
        unknown = replace(collection.examples, y=np.zeros((N, 0)))
        np.testing.assert_array_equal(encoding.encode_inputs(unknown), arrays.x)

    def test_names_its_objective_and_its_loss_among_its_metrics(self, name, kind):
        task = TASKS.get(name)
        assert task.objective.removeprefix("val_") in task.metrics
        assert task.metrics["loss"] == "minimize"

    def test_scores_a_perfect_prediction_best(self, name, kind):
        task, (encoding, arrays) = TASKS.get(name), fitted(name, kind)
        best = perfect(name, encoding, arrays)
        top = scores(task, encoding, arrays.y, best)
        assert top["loss"] == pytest.approx(0.0, abs=1e-9)
        for noise in (1.0, 60.0):
            worse = best + np.random.default_rng(1).normal(size=best.shape) * noise
            for metric, score in scores(task, encoding, arrays.y, worse).items():
                assert score >= top[metric] if task.metrics[metric] == "minimize" else score <= top[metric]

    def test_scores_a_uniform_prediction_at_the_known_value(self, name, kind):
        task, (encoding, arrays) = TASKS.get(name), fitted(name, kind)
        found = scores(task, encoding, arrays.y, np.full((N, encoding.problem.units), 7.0))
        if is_classification(name):
            assert found["loss"] == pytest.approx(np.log(3))
        else:
            assert found["rmse"] >= found["mae"] > 0.0

    def test_scores_as_the_metrics_of_keras_do(self, name, kind):
        task, (encoding, arrays) = TASKS.get(name), fitted(name, kind)
        outputs = np.random.default_rng(2).normal(size=(N, encoding.problem.units)).astype(np.float32)
        expected = {}
        for metric in task.keras_metrics(encoding):
            for part in np.array_split(np.arange(N), 3):
                metric.update_state(arrays.y[part], outputs[part])
            expected[metric.name] = float(metric.result())
        assert expected.keys() == task.metrics.keys()
        assert scores(task, encoding, arrays.y, outputs) == pytest.approx(expected, rel=1e-5)

    def test_gives_one_number_an_example_for_each_metric(self, name, kind):
        task, (encoding, arrays) = TASKS.get(name), fitted(name, kind)
        outputs = np.zeros((N, encoding.problem.units), np.float32)
        each = task.per_example(encoding, arrays.y, outputs)
        assert {metric: values.shape for metric, values in each.items()} == dict.fromkeys(task.metrics, (N,))

    def test_trains_the_loss_that_it_reports(self, name, kind):
        """The reported "loss" has neither smoothing nor penalties; with default options the trained one has none."""
        task, (encoding, arrays) = TASKS.get(name), fitted(name, kind)
        inputs = keras.Input(encoding.problem.input_shape)
        flat = keras.layers.Flatten()(inputs)
        model = keras.Model(inputs, keras.layers.Dense(encoding.problem.units, kernel_regularizer="l2")(flat))
        loss = task.loss(task.Options(), encoding)
        model.compile(loss=loss, metrics=task.keras_metrics(encoding), jit_compile=False)
        found = model.evaluate(arrays.x, arrays.y, verbose=0, return_dict=True, batch_size=7)
        outputs = model.predict(arrays.x, verbose=0)
        assert found == pytest.approx(scores(task, encoding, arrays.y, outputs), rel=1e-4)
        assert float(loss(arrays.y, outputs)) == pytest.approx(found["loss"], rel=1e-4)

    def test_has_no_dead_option(self, name, kind):
        task, (encoding, arrays) = TASKS.get(name), fitted(name, kind)
        outputs = np.random.default_rng(3).normal(size=(N, encoding.problem.units)).astype(np.float32)
        plain = float(task.loss(task.Options(), encoding)(arrays.y, outputs))
        for field in task.Options.model_fields:
            options = task.Options(**{field: other_value(task.Options, field)})
            assert float(task.loss(options, encoding)(arrays.y, outputs)) != plain

    def test_an_encoding_survives_json_and_pickle(self, name, kind):
        task, (encoding, arrays) = TASKS.get(name), fitted(name, kind)
        examples = collection_of(name, kind).examples
        for copy in (
            task.restore(json.loads(json.dumps(encoding.to_json(), allow_nan=False))),
            pickle.loads(pickle.dumps(encoding)),
        ):
            assert copy == encoding
            assert (copy.encode(examples).x == arrays.x).all() and (copy.encode(examples).y == arrays.y).all()

    def test_looks_at_training_examples_only(self, name, kind):
        one, other = collection_of(name, kind), collection_of(name, kind, seed=5)
        train = one.examples.take(np.arange(30))
        task = TASKS.get(name)
        assert task.fit(one, train) == task.fit(replace(one, examples=other.examples), train)
        assert task.fit(one, train) != task.fit(one, other.examples)

    def test_encodes_each_example_on_its_own(self, name, kind):
        encoding, arrays = fitted(name, kind)
        some = encoding.encode(collection_of(name, kind).examples.take(np.array([3, 0])))
        assert (some.x == arrays.x[[3, 0]]).all() and (some.y == arrays.y[[3, 0]]).all()

    def test_leaves_the_examples_as_they_were(self, name, kind):
        collection = collection_of(name, kind)
        before = pickle.dumps(collection)
        TASKS.get(name).fit(collection, collection.examples).encode(collection.examples)
        assert pickle.dumps(collection) == before

    def test_decodes_what_it_encoded(self, name, kind):
        encoding, arrays = fitted(name, kind)
        decoded = encoding.decode(perfect(name, encoding, arrays))
        y = collection_of(name, kind).examples.y
        if is_classification(name):
            assert (decoded["label"] == y).all()
            assert decoded["probability"].sum(axis=1) == pytest.approx(1.0)
        else:
            assert decoded["value"].shape == y.shape
            np.testing.assert_allclose(decoded["value"], y, rtol=1e-5)

    def test_front_does_what_encode_does_in_a_file_that_needs_no_searchlab(self, name, kind, tmp_path):
        collection = collection_of(name, kind)
        examples = replace(collection.examples, categories=None)
        encoding = TASKS.get(name).fit(collection, examples.take(np.arange(30)))
        model = model_of(encoding.front(), examples.x)
        assert "searchlab" not in model.to_json()
        model.save(tmp_path / "front.keras")
        restored = keras.saving.load_model(tmp_path / "front.keras", safe_mode=True)
        found = keras.ops.convert_to_numpy(restored(examples.x))
        np.testing.assert_allclose(found, encoding.encode(examples).x, rtol=1e-4, atol=1e-5)

    def test_front_tells_the_shape_of_raw_inputs(self, name, kind):
        """They are shaped as encoded ones, or the first layer is a functional model with an input of its own."""
        collection = collection_of(name, kind)
        collection = replace(collection, examples=replace(collection.examples, categories=None))
        encoding = TASKS.get(name).fit(collection, collection.examples)
        first = encoding.front()[0]
        found = first.input_shape[1:] if isinstance(first, keras.Model) else encoding.problem.input_shape
        assert found == collection.examples.x.shape[1:]

    def test_back_does_what_decode_does_in_a_file_that_needs_no_searchlab(self, name, kind, tmp_path):
        encoding, _ = fitted(name, kind)
        outputs = np.random.default_rng(4).normal(size=(N, encoding.problem.units)).astype(np.float32)
        model = model_of(encoding.back(), outputs)
        assert "searchlab" not in model.to_json()
        model.save(tmp_path / "back.keras")
        restored = keras.saving.load_model(tmp_path / "back.keras", safe_mode=True)
        found = keras.ops.convert_to_numpy(restored(outputs))
        decoded = encoding.decode(outputs)
        expected = decoded["probability"] if is_classification(name) else decoded["value"].reshape(N, -1)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)

    def test_its_baseline_is_finite_and_knows_the_training_targets(self, name, kind):
        task, (encoding, arrays) = TASKS.get(name), fitted(name, kind)
        outputs = task.baseline(encoding, arrays, arrays.x)
        assert outputs.shape == (N, encoding.problem.units)
        assert np.isfinite(outputs).all()
        expected = scores(task, encoding, arrays.y, np.zeros_like(outputs))["loss"]
        assert scores(task, encoding, arrays.y, outputs)["loss"] <= expected + 1e-6

    def test_refuses_targets_from_which_nothing_can_be_learned(self, name, kind):
        task, collection = TASKS.get(name), collection_of(name, kind)
        examples = collection.examples
        with pytest.raises(DataError):
            task.fit(collection, examples.take(np.arange(0)))
        with pytest.raises(DataError):
            task.fit(collection, replace(examples, y=np.full_like(examples.y, examples.y[0])))

    def test_refuses_labels_that_training_lacked_and_targets_that_are_missing(self, name, kind):
        encoding, _ = fitted(name, kind)
        examples = collection_of(name, kind).examples
        strange = examples.y.astype(object)
        strange[7] = "fox" if is_classification(name) else np.nan
        strange = strange.astype(examples.y.dtype)
        with pytest.raises(DataError, match=r"fox|missing"):
            encoding.encode(replace(examples, y=strange))

"""Cross-entropy with label smoothing, and what the front layers and classes weigh."""

import keras
import numpy as np
import pytest

from searchlab.data import Collection, Examples
from searchlab.tasks import TASKS
from searchlab.tasks._losses import SmoothedCrossentropy, UnscaledError

LOGITS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32) * 3
LABELS = np.array([0, 3, 1, 2, 2, 0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_smoothing_is_what_keras_does_with_one_hot_targets(smoothing, shape):
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)(
        np.eye(4, dtype="float32")[LABELS], LOGITS
    )
    assert float(SmoothedCrossentropy(smoothing)(LABELS.reshape(shape), LOGITS)) == pytest.approx(
        float(expected), rel=1e-5
    )


def test_enormous_outputs_give_a_finite_loss_and_score():
    outputs = np.array([[1e4, -1e4], [-1e4, 1e4]], np.float32)
    assert np.isfinite(float(SmoothedCrossentropy(0.1)(np.array([1, 1]), outputs)))
    task = TASKS.get("image_classification")
    images = Collection(Examples(np.zeros((2, 1, 1, 1)), np.array([0, 1])), "images", "made up")
    encoding = task.fit(images, images.examples)
    assert task.per_example(encoding, np.array([1, 1]), outputs)["loss"].tolist() == [2e4, 0.0]


def test_a_saved_loss_weighs_as_before():
    restored = keras.losses.deserialize(keras.losses.serialize(SmoothedCrossentropy(0.3)))
    assert float(restored(LABELS, LOGITS)) == float(SmoothedCrossentropy(0.3)(LABELS, LOGITS))


@pytest.mark.parametrize("error", ["absolute", "squared"])
def test_a_saved_metric_measures_as_before(error):
    metric = UnscaledError(error, (2.0, 3.0, 4.0, 5.0), name="error")
    restored = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert restored.name == "error"
    assert float(restored(LOGITS, -LOGITS)) == float(metric(LOGITS, -LOGITS))


def test_the_baseline_of_a_classifier_is_the_majority_at_its_share():
    task = TASKS.get("image_classification")
    images = Collection(Examples(np.zeros((4, 1, 1, 1)), np.array([5, 9, 9, 9])), "images", "made up")
    encoding = task.fit(images, images.examples)
    arrays = encoding.encode(images.examples)
    decoded = encoding.decode(task.baseline(encoding, arrays, arrays.x[:2]))
    assert decoded["label"].tolist() == [9, 9]
    np.testing.assert_allclose(decoded["probability"], [[0.25, 0.75]] * 2, rtol=1e-6)

"""Cross-entropy with label smoothing, and what the front layers and classes weigh."""

import keras
import numpy as np
import pytest

from searchlab.data import Collection, Examples
from searchlab.tasks import TASKS
from searchlab.tasks._losses import BalancedAccuracy, SmoothedCrossentropy, UnscaledError

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
    loss = SmoothedCrossentropy(0.3, 2.0, (1.0, 2.0, 0.5, 0.1))
    restored = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(restored(LABELS, LOGITS)) == float(loss(LABELS, LOGITS))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focus_is_that_of_keras_s_focal_loss(gamma):
    expected = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma, from_logits=True)(
        np.eye(4, dtype="float32")[LABELS], LOGITS
    )
    assert float(SmoothedCrossentropy(focal_gamma=gamma)(LABELS, LOGITS)) == pytest.approx(float(expected), rel=1e-5)


def test_focus_has_a_slope_where_the_model_is_certain():
    """With the power of a doubt of 0 the gradient was NaN, for gammas below 1 that the engines turn as numbers."""
    import tensorflow as tf

    outputs = tf.constant([[200.0, -200.0], [-200.0, 200.0]])
    for gamma in (0.0, 0.5, 2.0):
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            loss = SmoothedCrossentropy(focal_gamma=tf.constant(gamma))(tf.constant([0, 0]), outputs)
        assert np.isfinite(tape.gradient(loss, outputs)).all()


def test_balanced_weights_make_rare_classes_count_as_much_as_frequent_ones():
    task = TASKS.get("image_classification")
    y = np.array([0, 0, 0, 1, 1, 2])
    examples = Examples(np.arange(6.0).reshape(6, 1, 1, 1), y)
    encoding = task.fit(Collection(examples, "images", "made up"), examples)
    assert encoding.counts == (3, 2, 1) and encoding.balance() == pytest.approx((2 / 3, 1.0, 2.0))
    loss = task.loss(task.Options(class_weight="balanced"), encoding)
    each = task.per_example(encoding, y, LOGITS[:, :3])["loss"]
    assert float(loss(y, LOGITS[:, :3])) == pytest.approx(np.mean([each[y == c].mean() for c in range(3)]), rel=1e-5)


def test_an_encoding_of_an_older_version_has_no_counts_and_weighs_nothing():
    task = TASKS.get("image_classification")
    images = Collection(Examples(np.arange(4.0).reshape(4, 1, 1, 1), np.array([5, 9, 9, 9])), "images", "made up")
    content = task.fit(images, images.examples).to_json()
    del content["counts"], content["inputs"]["range"]
    old = task.restore(content)
    weighed, plain = (task.loss(task.Options(class_weight=name), old) for name in ("balanced", "none"))
    assert float(weighed(LABELS % 2, LOGITS[:, :2])) == float(plain(LABELS % 2, LOGITS[:, :2]))
    assert (old.problem.pixels.low, old.problem.pixels.high) == (0.0, 255.0)


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_occur():
    from sklearn.metrics import balanced_accuracy_score

    y, outputs = np.array([0, 0, 0, 0, 1, 1]), np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    outputs[[0, 1, 4], y[[0, 1, 4]]] += 10.0
    metric = BalancedAccuracy(4)
    assert float(metric.result()) == 0.0
    for part in (slice(0, 4), slice(4, 6)):
        metric.update_state(y[part], outputs[part])
    expected = balanced_accuracy_score(y, outputs.argmax(axis=1))
    assert float(metric.result()) == pytest.approx(expected)
    restored = keras.metrics.deserialize(keras.metrics.serialize(metric))
    restored.update_state(y, outputs)
    assert float(restored.result()) == pytest.approx(expected)


def test_the_noise_of_a_balanced_accuracy_is_that_within_the_classes():
    """All right has none, whatever the classes' sizes; else the spread of the mean is that of mean recalls."""
    task = TASKS.get("image_classification")
    stream = np.random.default_rng(0)
    y = np.repeat([0, 1], [900, 100])
    images = Collection(Examples(np.arange(1000.0).reshape(-1, 1, 1, 1), y), "images", "made up")
    encoding = task.fit(images, images.examples)
    assert np.unique(task.per_example(encoding, y, np.eye(2)[y])["balanced_accuracy"]).tolist() == [1.0]
    chances = np.where(y == 0, 0.9, 0.6)

    def rows():
        told = np.where(stream.random(1000) < chances, y, 1 - y)
        return task.per_example(encoding, y, np.eye(2)[told])["balanced_accuracy"]

    spread = np.std([rows().mean() for _ in range(400)])
    assert np.std(rows()) / 1000**0.5 == pytest.approx(spread, rel=0.15)


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

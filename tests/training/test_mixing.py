"""What mixup and CutMix do to the images and targets of a batch, and what loss and metrics make of it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from searchlab.data import Array
from searchlab.tasks import TASKS
from searchlab.tasks._losses import Accuracy, BalancedAccuracy, Crossentropy, SmoothedCrossentropy
from searchlab.training.mixing import Mixing

STREAM = np.random.default_rng(0)
X = STREAM.normal(size=(16, 8, 6, 2)).astype(np.float32)
Y = STREAM.integers(0, 5, 16).astype(np.int32)
WAYS = {"mixup": (0.4, 0.0), "cutmix": (0.0, 1.0), "both": (1.0, 1.0)}


def mixing(way: str, seed: int = 3) -> Mixing:
    return Mixing(TASKS.get("image_classification"), *WAYS[way], seed)


def batches(way: str, count: int = 20) -> list[tuple[Array, Array]]:
    return [mixing(way).mixed(X, Y, epoch=1, batch=batch) for batch in range(count)]


@pytest.mark.parametrize("way", WAYS)
class TestEveryWayOfMixing:
    def test_seed_epoch_and_batch_decide_alone(self, way: str) -> None:
        x, y = mixing(way).mixed(X, Y, epoch=2, batch=3)
        again = mixing(way).mixed(X, Y, epoch=2, batch=3)
        assert np.array_equal(again[0], x) and np.array_equal(again[1], y)
        for other in (
            mixing(way, seed=4).mixed(X, Y, epoch=2, batch=3),
            mixing(way).mixed(X, Y, epoch=1, batch=3),
            mixing(way).mixed(X, Y, epoch=2, batch=4),
        ):
            assert not np.array_equal(other[1], y)

    def test_shapes_types_range_and_the_examples_themselves_stay(self, way: str) -> None:
        before = X.copy()
        for x, y in batches(way):
            assert x.shape == X.shape and x.dtype == X.dtype
            assert x.min() >= X.min() - 1e-5 and x.max() <= X.max() + 1e-5
            assert y.shape == (16, 3) and y.dtype == np.float32
            assert np.array_equal(y[:, 0], Y) and sorted(y[:, 1]) == sorted(Y)
            assert np.all((y[:, 2] >= 0.0) & (y[:, 2] <= 1.0))
        assert np.array_equal(X, before)

    def test_the_share_of_a_target_is_what_the_image_has_of_that_example(self, way: str) -> None:
        for x, y in batches(way):
            share = float(y[0, 2])
            kept = np.isclose(x, X, atol=1e-6).all(axis=-1)
            whole = [np.isclose(x[i], X, atol=1e-6).all(axis=-1).mean(axis=(1, 2)) for i in range(len(x))]
            if way == "cutmix" or kept.any(axis=(1, 2)).all():
                assert all(found[i] >= share - 1e-6 for i, found in enumerate(whole))
                assert all(found.sum() >= 1.0 - 1e-6 for found in whole)  # every pixel is somebody's
            else:
                partners = [X[Y == label] for label in y[:, 1]]
                blends = [np.float32(share) * X[i] + np.float32(1 - share) * some for i, some in enumerate(partners)]
                assert all(np.abs(x[i] - some).max(axis=(1, 2, 3)).min() < 1e-5 for i, some in enumerate(blends))

    def test_a_single_example_has_no_partner_but_itself(self, way: str) -> None:
        x, y = mixing(way).mixed(X[:1], Y[:1], epoch=1, batch=0)
        np.testing.assert_allclose(x, X[:1], rtol=1e-6)
        assert y[0, 0] == y[0, 1] == Y[0]


def test_both_ways_take_turns() -> None:
    cut = [bool((x == X).all(axis=-1).any(axis=(1, 2)).all()) for x, _ in batches("both")]
    assert 2 < sum(cut) < 18


LOGITS = STREAM.normal(size=(6, 5)).astype(np.float32) * 3
ONE, OTHER = np.array([0, 3, 1, 2, 4, 0]), np.array([1, 3, 0, 4, 2, 2])
SHARE = np.array([0.7, 0.2, 0.0, 1.0, 0.5, 0.9], np.float32)
PACKED = np.stack([ONE, OTHER, SHARE], axis=1).astype(np.float32)


@pytest.mark.parametrize("settings", [(), (0.1,), (0.1, 2.0), (0.0, 0.0, (1.0, 2.0, 0.5, 0.1, 3.0))])
def test_the_loss_of_mixed_targets_is_that_of_either_at_its_share(settings: tuple[object, ...]) -> None:
    loss = SmoothedCrossentropy(*settings, reduction="none")  # type: ignore[arg-type]
    found, one, other = (keras.ops.convert_to_numpy(loss(y, LOGITS)) for y in (PACKED, ONE, OTHER))
    np.testing.assert_allclose(found, SHARE * one + (1 - SHARE) * other, rtol=1e-5)


def test_the_reported_loss_and_accuracies_know_mixed_targets() -> None:
    metric = Crossentropy(from_logits=True, name="loss")
    metric.update_state(PACKED, LOGITS)
    assert float(metric.result()) == pytest.approx(float(SmoothedCrossentropy()(PACKED, LOGITS)), rel=1e-5)
    main = np.where(SHARE >= 0.5, ONE, OTHER)
    for mixed, plain in ((Accuracy(), Accuracy()), (BalancedAccuracy(5), BalancedAccuracy(5))):
        mixed.update_state(PACKED, LOGITS)
        plain.update_state(main, LOGITS)
        assert float(mixed.result()) == float(plain.result()) > 0.0

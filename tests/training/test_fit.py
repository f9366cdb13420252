"""What is special about the reference engine: it must hold its memory, its threads and Keras's global state."""

from __future__ import annotations

import gc
import threading

import keras
import numpy as np
import pytest
import tiny_problem as tiny

from searchlab.records import Cohort, Epoch
from searchlab.training import ENGINES
from searchlab.training.engines.fit import validation_batch
from searchlab.training.order import order
from searchlab.training.recipe import Recipe, precision


def test_an_order_is_a_function_of_seed_and_epoch_alone() -> None:
    first = order(5, 1, 100)
    assert np.array_equal(first, order(5, 1, 100))
    assert sorted(first.tolist()) == list(range(100))
    assert not np.array_equal(first, order(5, 2, 100))
    assert not np.array_equal(first, order(6, 1, 100))


def test_layers_without_a_seed_of_their_own_draw_from_the_trial_s() -> None:
    encoding, _ = tiny.problem()

    def draw(seed: int) -> float:
        Recipe.of(tiny.trial(seed=seed), tiny.plan(), encoding).model()
        return float(keras.random.uniform(()))

    assert draw(1) == draw(1) != draw(2)


def test_a_precision_ends_with_its_block_whatever_happens() -> None:
    with pytest.raises(ValueError, match="inside"), precision("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        raise ValueError("inside")
    assert keras.config.dtype_policy().name == "float32"


def test_a_cohort_that_is_given_up_leaves_no_thread() -> None:
    before = threading.active_count()
    progress = ENGINES.get("fit").train(Cohort((tiny.trial(0),)), tiny.plan(epochs=50), *tiny.problem())
    (epoch,) = next(progress)
    assert isinstance(epoch, Epoch)
    progress.close()
    assert threading.active_count() <= before


def test_a_nan_in_validation_alone_fails_the_trial() -> None:
    """A validation image of infinite brightness: training is sound, and its accuracy would look sound too.

    With silu, since a relu gives 0 for NaN on some processors.
    """
    from searchlab.data import SearchSplits
    from searchlab.tasks import Arrays

    encoding, splits = tiny.problem()
    x = splits.validation.x.copy()
    x[0] = np.inf
    poisoned = SearchSplits(splits.train, Arrays(x, splits.validation.y))
    trial = tiny.trial(0, model__mlp__activation="silu")
    (result,) = ENGINES.get("fit").train(Cohort((trial,)), tiny.plan(), encoding, poisoned)
    assert not isinstance(result, Epoch)
    assert (result.state, result.reason, result.value) == ("failed", "diverged at epoch 1", None)


def test_a_space_without_optimizer_and_schedule_means_adam_at_a_constant_rate() -> None:
    from searchlab.records import Trial
    from searchlab.space import Params

    bare = Trial(0, Params({"model": "mlp", "model.mlp.width": 8}), 1)
    epochs, results = tiny.train("fit", bare, under=tiny.plan(epochs=1))
    assert results[0].state == "complete"
    assert epochs[0][0].metrics["learning_rate"] == pytest.approx(0.001)


def test_a_finished_trial_leaves_no_graph_behind() -> None:
    """TensorFlow kept the graph of every trial, 6 MB of a small MLP each (see `recipe`)."""

    def graphs() -> int:
        gc.collect()
        return sum(type(thing).__name__ in ("FuncGraph", "Functional") for thing in gc.get_objects())

    before = graphs()
    tiny.train("fit", tiny.trial(0), under=tiny.plan(epochs=1))
    assert graphs() <= before


@pytest.mark.parametrize(
    ("shape", "batch_size", "expected"), [((8, 8, 1), 32, 256), ((64, 64, 3), 512, 512), ((224, 224, 3), 32, 32)]
)
def test_large_examples_are_judged_fewer_at_a_time(shape: tuple[int, ...], batch_size: int, expected: int) -> None:
    assert validation_batch(shape, batch_size) == expected

"""What holds for every option of the group `augment`, those not written yet included; on each Keras backend."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from searchlab.data import Array
from searchlab.models.augment import MIXED, AugmentOptions
from searchlab.models.augmentation import LAYERS, augmented
from searchlab.records import Checkpoints, Cohort, TrainingPlan
from searchlab.tasks import TASKS, Pixels, Problem
from searchlab.training import ENGINES
from searchlab.training.champion import predict, restore
from searchlab.training.recipe import Recipe

sys.path.append(str(Path(__file__).parents[1] / "training"))

import tiny_problem as tiny

AUGMENTATIONS: dict[str, Any] = {
    "flip": "both",
    "crop": 0.3,
    "rotation": 0.2,
    "translation": 0.2,
    "zoom": 0.4,
    "contrast": 0.6,
    "rand_augment": 0.5,
    "mixup": 0.4,
    "cutmix": 1.0,
}
"""Every option, with a value at which it is at work."""

IMAGES = {
    "digits": Problem("image", (8, 8, 1), 10, pixels=Pixels((4.9,), (6.0,), 0.0, 16.0)),
    "photographs": Problem("image", (9, 6, 3), 10, pixels=Pixels((120.0, 110.0, 90.0), (60.0, 50.0, 40.0), 0.0, 255.0)),
}
TRIED = [*IMAGES][: None if os.environ.get("SEARCHLAB_ENGINES") == "all" or keras.backend.backend() != "jax" else 1]

SMALL: dict[str, Any] = {"model": "cnn", "model__cnn__depth": 1, "model__cnn__width": 4, "model__cnn__batch_norm": True}


def images(problem: Problem, n: int = 12) -> Array:
    """(n, height, width, channels) encoded images that use the whole range."""
    pixels = problem.pixels
    assert pixels is not None
    raw = np.random.default_rng(0).uniform(pixels.low, pixels.high, (n, *problem.input_shape))
    return ((raw - pixels.mean) / pixels.deviation).astype(np.float32)


def alone(name: str, problem: Problem, seed: int = 3) -> keras.Model:
    """A model that only has the layers of the option `name` in it."""
    inputs = keras.Input(problem.input_shape)
    return augmented(keras.Model(inputs, inputs), problem, AugmentOptions(**{name: AUGMENTATIONS[name]}), seed)


def seen(model: keras.Model, x: Array, *, training: bool = True) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(model(x, training=training)))


def trial(name: str) -> Any:
    return tiny.trial(3, **SMALL, **{f"augment__{name}": AUGMENTATIONS[name]})


def test_every_option_is_tried_here() -> None:
    assert AUGMENTATIONS.keys() == AugmentOptions.model_fields.keys() == LAYERS.keys() | set(MIXED)
    assert all(name in AugmentOptions(**{name: value}).on for name, value in AUGMENTATIONS.items())
    assert AugmentOptions().on == ()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("kind", TRIED)
class TestEveryChangeOfAnImage:
    def test_another_seed_changes_it_otherwise_and_the_same_one_equally(self, name: str, kind: str) -> None:
        problem, x = IMAGES[kind], images(IMAGES[kind])
        first = seen(alone(name, problem), x)
        assert np.array_equal(seen(alone(name, problem), x), first)
        assert not np.array_equal(seen(alone(name, problem, seed=4), x), first)

    def test_every_look_at_it_is_another(self, name: str, kind: str) -> None:
        model, x = alone(name, IMAGES[kind]), images(IMAGES[kind])
        looks = [seen(model, x) for _ in range(4)]
        assert not all(np.array_equal(looks[0], look) for look in looks[1:])

    def test_nothing_is_changed_outside_of_training(self, name: str, kind: str) -> None:
        x = images(IMAGES[kind])
        assert np.array_equal(seen(alone(name, IMAGES[kind]), x, training=False), x)

    def test_shape_and_range_stay(self, name: str, kind: str) -> None:
        problem, model, x = IMAGES[kind], alone(name, IMAGES[kind]), images(IMAGES[kind])
        pixels = problem.pixels
        assert pixels is not None
        for _ in range(3):
            changed = seen(model, x)
            assert changed.shape == x.shape and np.isfinite(changed).all()
            raw = changed * np.asarray(pixels.deviation) + np.asarray(pixels.mean)
            assert raw.min() >= pixels.low - 1e-3 and raw.max() <= pixels.high + 1e-3
            assert np.ptp(raw) > 0.2 * (pixels.high - pixels.low)

    def test_it_has_no_weights_of_its_own(self, name: str, kind: str) -> None:
        model = alone(name, IMAGES[kind])
        assert model.get_weights() == [] and len(model.variables) >= 1  # random states


@pytest.mark.parametrize("name", AUGMENTATIONS)
class TestEveryAugmentation:
    def test_the_model_that_learns_sees_other_images_or_targets(self, name: str) -> None:
        encoding, splits = tiny.problem()
        plain, changed = (Recipe.of(one, tiny.plan(), encoding) for one in (tiny.trial(3, **SMALL), trial(name)))
        assert changed.is_augmented and not plain.is_augmented
        model = changed.model()
        (x, y), (plain_x, plain_y) = (recipe.batches(splits.train)[0] for recipe in (changed, plain))
        if name in LAYERS:
            layer = changed.trainable(model, 3).get_layer("augmentation")
            assert np.array_equal(x, plain_x) and not np.allclose(seen(layer, x), plain_x, atol=1e-3)
        else:
            assert changed.trainable(model, 3) is model and not np.allclose(x, plain_x, atol=1e-3)
        assert np.array_equal(y if y.ndim == 1 else y[:, 0], plain_y)

    def test_the_model_that_is_kept_is_that_of_a_plain_trial(self, name: str) -> None:
        encoding, _ = tiny.problem()
        plain, changed = (Recipe.of(one, tiny.plan(), encoding) for one in (tiny.trial(3, **SMALL), trial(name)))
        expected = plain.model().get_weights()
        model = changed.model()
        for held in (model.get_weights(), changed.trainable(model, 3).get_weights()):
            assert all(np.array_equal(*pair) for pair in zip(held, expected, strict=True))


COMPARED = [*LAYERS, "mixup"] if len(TRIED) == len(IMAGES) else ["crop", "rotation", "mixup"]
"""JAX compiles each for ten seconds and more, rand_augment for a minute and a half."""


def trainer_of(engine: str) -> str:
    """What trains augmented trials in place of `engine`: a population on TensorFlow leaves them to `fused`."""
    return "fused" if keras.backend.backend() == "tensorflow" else engine


@pytest.mark.parametrize("engine", tiny.compiled())
@pytest.mark.parametrize("name", COMPARED)
def test_compiled_engines_give_the_numbers_of_fit_or_leave_it_to_fit(name: str, engine: str) -> None:
    one = tiny.trial(3, model__mlp__width=4, model__mlp__batch_norm=True, **{f"augment__{name}": AUGMENTATIONS[name]})
    told, results = tiny.train(engine, one)
    expected, _ = tiny.train("fit", one)
    assert results[3].engine == (f"fit: {name}" if name in MIXED else trainer_of(engine)), results[3].detail
    for epoch, wanted in zip(told[3], expected[3], strict=True):
        assert epoch.metrics == pytest.approx(wanted.metrics, rel=1e-5, abs=1e-6)


TOGETHER = {"augment__rotation": 0.1, "augment__contrast": 0.3, "augment__mixup": 0.4, "augment__cutmix": 1.0}


def test_d6_a_training_that_was_interrupted_is_that_of_one_that_was_not(tmp_path: Path) -> None:
    one = tiny.trial(3, **SMALL, **TOGETHER)

    def plan(name: str) -> TrainingPlan:
        kept = Checkpoints(str(tmp_path / name / "checkpoints"), "s1")
        return tiny.plan(epochs=4, weights_folder=str(tmp_path / name / "weights"), checkpoints=kept)

    whole, expected = tiny.train("fit", one, under=plan("whole"))
    progress = ENGINES.get("fit").train(Cohort((one,)), plan("halves"), *tiny.problem())
    next(progress), progress.send(frozenset())
    progress.close()
    second, results = tiny.train("fit", one, under=plan("halves"))
    assert results[3].resumed_from == 2
    assert tiny.numbers(second[3]) == tiny.numbers(whole[3])
    told, wanted = (np.load(str(some[3].weights)) for some in (results, expected))
    assert all(np.array_equal(told[name], wanted[name]) for name in wanted.files)
    encoding, splits = tiny.problem()
    outputs = predict(restore(plan("whole"), encoding, one, str(expected[3].weights)), splits.validation.x)
    scored = TASKS.get("image_classification").per_example(encoding, splits.validation.y, outputs)
    assert np.mean(scored["loss"]) == pytest.approx(expected[3].metrics["val_loss"], rel=1e-5)
    assert expected[3].parameter_count == results[3].parameter_count == 9 * 4 + 4 * 4 + 4 * 10 + 10


@pytest.mark.parametrize("engine", tiny.compiled())
def test_compiled_engines_go_on_from_a_checkpoint_with_the_same_numbers(engine: str, tmp_path: Path) -> None:
    one = tiny.trial(3, augment__flip="both", augment__contrast=0.5)
    kept = Checkpoints(str(tmp_path), "s1")
    whole, _ = tiny.train(engine, one, under=tiny.plan(epochs=3))
    progress = ENGINES.get(engine).train(Cohort((one,)), tiny.plan(epochs=3, checkpoints=kept), *tiny.problem())
    next(progress)
    progress.close()
    second, results = tiny.train(engine, one, under=tiny.plan(epochs=3, checkpoints=kept))
    assert results[3].resumed_from == 1 and results[3].engine == trainer_of(engine)
    assert tiny.numbers(second[3]) == tiny.numbers(whole[3])

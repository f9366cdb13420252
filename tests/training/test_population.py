"""What is special in the population engine, on the backend that Keras runs on."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tiny_problem as tiny

ON_JAX = keras.backend.backend() == "jax"
on_jax = pytest.mark.skipif(not ON_JAX, reason="Keras does not run on JAX here")
on_tensorflow = pytest.mark.skipif(ON_JAX, reason="Keras does not run on TensorFlow here")


def test_trials_that_leave_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine trials in three groups; six are stopped after an epoch, and the other three share one group."""
    from searchlab.training.engines import population

    sizes: list[int] = []
    launch = population._launch

    def noting(program: Any, group: Any, *data: Any) -> None:
        sizes.append(sum(1 for _ in group.alive()))
        launch(program, group, *data)

    monkeypatch.setattr(population, "_launch", noting)
    trials = [tiny.trial(number, seed=number) for number in range(9)]
    stayed = {0, 4, 8}
    epochs, results = tiny.train("population", *trials, verdict=lambda epoch: epoch.trial not in stayed)
    assert sizes == [4, 4, 1, 3]
    assert {number for number, result in results.items() if result.state == "complete"} == stayed
    alone, _ = tiny.train("population", trials[8])
    assert tiny.numbers(alone[8]) == tiny.numbers(epochs[8])


def test_a_smaller_program_for_those_that_stay_keeps_their_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where lanes follow the number of trials: eight lanes of three optimizers, then two of one."""
    from searchlab.training.engines import population

    monkeypatch.setattr(population.side, "lanes_of", lambda template, batch, count: 8 if count > 2 else 2)
    names = [*["adam", "sgd"] * 3, "rmsprop"]
    kinds = {name: {"optimizer": name, f"optimizer__{name}__learning_rate": 0.01} for name in names}
    trials = [tiny.trial(i, seed=i, model__mlp__width=21, **kinds[name]) for i, name in enumerate(names)]
    epochs, results = tiny.train("population", *trials, verdict=lambda epoch: epoch.trial != 6)
    assert results[6].state == "complete"
    expected, _ = tiny.train("fit", trials[6])
    for one, other in zip(epochs[6], expected[6], strict=True):
        assert one.metrics == pytest.approx(other.metrics, rel=1e-5)


def test_a_new_optimizer_joins_the_shape_s_program() -> None:
    width = {"model__mlp__width": 19}
    before, _ = tiny.train("population", tiny.trial(0, **width))
    sgd = {"optimizer": "sgd", "optimizer__sgd__learning_rate": 0.1, **width}
    after, results = tiny.train("population", tiny.trial(1, **sgd), tiny.trial(0, **width))
    assert results[1].state == results[0].state == "complete"
    for one, other in zip(before[0], after[0], strict=True):
        assert one.metrics == pytest.approx(other.metrics, rel=1e-5)


def test_a_program_has_the_rules_of_all_optimizers_that_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that none of them has the shape compiled again."""
    from searchlab.training.engines import population

    made: list[tuple[str, ...]] = []
    usual = population.side.Program

    def noted(*arguments: Any, **named: Any) -> Any:
        made.append(named["optimizers"])
        return usual(*arguments, **named)

    monkeypatch.setattr(population.side, "Program", noted)
    width, plan = {"model__mlp__width": 23}, tiny.plan(optimizers=("adam", "sgd"))
    sgd = {"optimizer": "sgd", "optimizer__sgd__learning_rate": 0.1, **width}
    early, _ = tiny.train("population", tiny.trial(0, **width), under=plan)
    tiny.train("population", tiny.trial(1, **sgd), under=plan)
    assert made == [("adam", "sgd")]
    alone, _ = tiny.train("fit", tiny.trial(0, **width))
    for one, other in zip(early[0], alone[0], strict=True):
        assert one.metrics == pytest.approx(other.metrics, rel=1e-5)


@on_tensorflow
def test_what_is_no_small_dense_network_is_left_to_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among others that are stacked; a perceptron counts as large from a number of weights on."""
    from searchlab.training.program import lanes

    cnn = {"model": "cnn", "model.cnn.depth": 1, "model.cnn.width": 4, "optimizer": "adam", "training.batch_size": 32}
    convolutional = tiny.trial_with(cnn, number=2)
    large = tiny.trial(1, model__mlp__width=17)
    monkeypatch.setattr(lanes, "SMALL", 65 * 16 + 17 * 10)
    told, results = tiny.train("population", tiny.trial(0), large, convolutional)
    assert [results[number].engine for number in range(3)] == ["population", "fused", "fused"]
    alone, _ = tiny.train("fused", large, convolutional)
    assert all(tiny.numbers(told[number]) == tiny.numbers(alone[number]) for number in (1, 2))


@on_jax
@pytest.mark.parametrize(
    ("size", "channels", "kernel", "strides", "padding"),
    [
        ((8, 8), 6, (3, 3), (1, 1), "same"),
        ((9, 7), 6, (3, 3), (2, 2), "same"),
        ((9, 7), 6, (5, 2), (1, 2), "valid"),
        ((8, 8), 2, (3, 3), (1, 1), "same"),
        ((9, 7), 2, (4, 3), (2, 1), "valid"),
        ((8, 8), 6, (1, 1), (1, 1), "same"),
        ((9, 7), 6, (1, 1), (2, 2), "same"),
        ((3, 3), 6, (5, 5), (2, 2), "same"),
    ],
)
def test_convolutions_and_their_gradients_are_those_of_keras(
    size: tuple[int, int], channels: int, kernel: tuple[int, int], strides: tuple[int, int], padding: str
) -> None:
    assert_same(keras.layers.Conv2D(3, kernel, strides=strides, padding=padding), (*size, channels))


@on_jax
@pytest.mark.parametrize("size", [(4, 4), (5, 7)])
def test_poolings_and_their_gradients_are_those_of_keras_where_pixels_are_equal_too(size: tuple[int, int]) -> None:
    assert_same(keras.layers.MaxPooling2D(2), (*size, 3), rounded=True)


def assert_same(layer: Any, shape: tuple[int, ...], *, rounded: bool = False) -> None:
    """A layer's outputs, and the gradients of its inputs and variables, before and after `quicken`."""
    import jax

    from searchlab.training.program.convolution import quicken

    model = keras.Sequential([keras.Input(shape), layer])
    draws = np.random.default_rng(0)
    x = draws.normal(size=(5, *shape)).astype(np.float32)
    x = x.round() if rounded else x
    weights = draws.normal(size=(5, *model.output_shape[1:])).astype(np.float32)

    def run() -> Any:
        def loss(variables: Any, x: Any) -> Any:
            outputs, _ = model.stateless_call(variables, [], x)
            return (outputs * weights).sum(), outputs

        variables = [variable.value for variable in model.trainable_variables]
        return jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(variables, x)

    expected = jax.tree.leaves(run())
    quicken(model)
    for told, wanted in zip(jax.tree.leaves(run()), expected, strict=True):
        np.testing.assert_allclose(told, wanted, rtol=1e-4, atol=1e-5)

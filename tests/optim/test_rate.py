"""The table of rates: a compiled training step follows it without being traced again."""

import keras
import numpy as np
import pytest

from searchlab.optim import OPTIMIZERS
from searchlab.optim.rate import EpochRates

X = np.eye(4, dtype="float32")
Y = np.ones((4, 1), "float32")


class Counted(keras.layers.Dense):
    """A dense layer that counts how often it is called from Python: once for every trace."""

    calls = 0

    def call(self, inputs):
        type(self).calls += 1
        return super().call(inputs)


@pytest.fixture
def trained():
    """A model of four weights, each moved by one step of every epoch, and its rates."""
    rates = EpochRates(0.25, steps=4)
    sgd = OPTIMIZERS.get("sgd")
    optimizer = sgd.build(sgd.Options(), rates)
    rates.follow(optimizer)
    model = keras.Sequential([keras.Input((4,)), Counted(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizer, loss="mse")
    return model, rates


def moved_by(model):
    before = model.get_weights()[0][:, 0]
    model.fit(X, Y, batch_size=1, shuffle=False, verbose=0)
    after = model.get_weights()[0][:, 0]
    return (after - before) / (2 * (1.0 - before))  # the gradient of (1 - w)**2


def test_every_step_of_fit_has_the_rate_of_the_table(trained):
    model, rates = trained
    assert moved_by(model) == pytest.approx([0.25] * 4)
    rates.assign(np.array([1.0, 0.5, 0.0, 0.25]))
    assert moved_by(model) == pytest.approx([0.25, 0.125, 0.0, 0.0625])
    rates.assign(np.zeros(4))
    assert moved_by(model) == pytest.approx([0.0] * 4)


def test_a_new_table_traces_nothing_again(trained):
    model, rates = trained
    moved_by(model)
    seen = Counted.calls
    for factor in (0.5, 0.25):
        rates.assign(np.full(4, factor))
        moved_by(model)
    assert Counted.calls == seen


def test_the_optimizer_tells_the_rate_of_its_next_step(trained):
    model, rates = trained
    rates.assign(np.array([0.5, 1.0, 1.0, 1.0]))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.125)


def test_the_table_is_state_of_the_optimizer_which_the_jax_backend_needs(trained):
    model, rates = trained
    assert any(variable is rates.table for variable in model.optimizer.variables)


def test_an_optimizer_with_rates_can_be_saved():
    optimizer = keras.optimizers.SGD(EpochRates(0.25, steps=4))
    restored = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert restored._learning_rate.get_config() == {"base_rate": 0.25, "steps": 4}

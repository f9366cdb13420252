"""What holds for every optimizer, those not written yet included."""

import keras
import numpy as np
import pytest
from other_values import bases_and_changes

from searchlab.optim import OPTIMIZERS
from searchlab.optim.rate import EpochRates
from searchlab.options import role_of

CURVATURE = np.array([1.0, 0.3, 3.0], np.float32)


def descend(optimizer, steps, noise=0.0):
    """The weights after each step down the bowl sum(c * w**2) / 2, from (1, -1, 0.5), with noise on the gradient."""
    draws = np.random.default_rng(0).normal(size=(steps, 3)).astype(np.float32)
    weights = keras.Variable(np.array([1.0, -1.0, 0.5], np.float32))
    path = []
    for draw in draws:
        gradient = CURVATURE * keras.ops.convert_to_numpy(weights) + noise * draw
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weights])
        path.append(np.array(keras.ops.convert_to_numpy(weights)))
    return np.array(path)


def by_rule(optimizer, options, steps, noise):
    """The same path, by the optimizer's pure rule."""
    draws = np.random.default_rng(0).normal(size=(steps, 3)).astype(np.float32)
    names = [field for field in type(options).model_fields if field != "learning_rate"]
    values = {field: float(getattr(options, field)) for field in names}
    settings = {field: (np.float32(value), np.float32(1.0 - value)) for field, value in values.items()}
    first, second, scalar = optimizer.memory(options)
    memory = (np.full(3, first, np.float32), np.full(3, second, np.float32), np.float32(scalar))
    weights, path = np.array([1.0, -1.0, 0.5], np.float32), []
    for i, draw in enumerate(draws):
        gradient = CURVATURE * weights + noise * draw
        weights, memory = optimizer.update(
            weights,
            gradient,
            memory,
            step=np.float32(i + 1),
            rate=np.float32(options.learning_rate),
            settings=settings,
        )
        weights = keras.ops.convert_to_numpy(weights)
        path.append(weights)
    return np.array(path)


def height(weights):
    return 0.5 * float((CURVATURE * weights**2).sum())


@pytest.mark.parametrize("name", OPTIMIZERS.names())
class TestEveryOptimizer:
    def test_falls_on_a_bowl(self, name):
        optimizer = OPTIMIZERS.get(name)
        options = optimizer.Options()
        path = descend(optimizer.build(options, options.learning_rate), 100)
        assert height(path[-1]) < 0.99 * height(np.array([1.0, -1.0, 0.5]))
        assert np.isfinite(path).all()

    def test_has_no_dead_option(self, name):
        optimizer = OPTIMIZERS.get(name)

        def path(options):
            return descend(optimizer.build(options, options.learning_rate), 8, noise=2.0)

        for field in optimizer.Options.model_fields:
            pairs = bases_and_changes(optimizer.Options, field)
            assert any((path(base) != path(changed)).any() for base, changed in pairs), f"{field} changes nothing"

    def test_stands_still_while_the_table_of_rates_is_zero(self, name):
        optimizer, rates = OPTIMIZERS.get(name), EpochRates(0.1, steps=4)
        rates.assign(np.zeros(4))
        path = descend(optimizer.build(optimizer.Options(), rates), 4)
        assert (path == np.float32([1.0, -1.0, 0.5])).all()

    def test_passes_clipping_on(self, name):
        optimizer = OPTIMIZERS.get(name)
        assert optimizer.build(optimizer.Options(), 0.1, global_clipnorm=0.5).global_clipnorm == 0.5
        assert optimizer.build(optimizer.Options(), 0.1).global_clipnorm is None

    def test_says_that_its_numbers_are_values(self, name):
        options = OPTIMIZERS.get(name).Options
        defaults = options().model_dump()
        roles = {field: role_of(options, field) for field in defaults}
        assert roles == {field: "shape" if isinstance(defaults[field], bool) else "value" for field in defaults}
        assert "learning_rate" in roles

    def test_its_pure_rule_takes_the_same_steps(self, name):
        optimizer = OPTIMIZERS.get(name)
        variants = [
            pair for field in optimizer.Options.model_fields for pair in bases_and_changes(optimizer.Options, field)
        ]
        for options in {repr(one): one for pair in variants for one in pair}.values():
            kept = descend(optimizer.build(options, options.learning_rate), 8, noise=2.0)
            np.testing.assert_allclose(
                by_rule(optimizer, options, 8, noise=2.0), kept, rtol=2e-6, err_msg=repr(options)
            )

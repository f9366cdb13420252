"""What holds for every model family, those not written yet included."""

import hashlib
import itertools
import subprocess
import sys
from typing import get_args

import keras
import numpy as np
import pytest
from other_values import bases_and_changes, other_value
from tiny_backbones import fixed

from searchlab.models import FAMILIES, Staged
from searchlab.options import role_of
from searchlab.tasks import Problem

PROBLEMS = {
    "image": Problem("image", (8, 8, 2), 3),
    "vector": Problem("vector", (5,), 3),
    "sequence": Problem("sequence", (6, 2), 3),
    "tokens": Problem("tokens", (7,), 3, vocabulary_size=11),
}
PAIRS = [(name, kind) for name in FAMILIES.names() for kind in FAMILIES.get(name).accepts]


def inputs(problem, n=8):
    stream = np.random.default_rng(0)
    if problem.kind == "tokens":
        x = stream.integers(1, problem.vocabulary_size, (n, *problem.input_shape)).astype("int32")
        x[:, -2:] = 0
        return x
    return stream.normal(size=(n, *problem.input_shape)).astype("float32")


def options_of(name, **changes):
    """Options of the family `name` that need no download."""
    return FAMILIES.get(name).Options(**{**fixed(name), **changes})


def numbers(name, problem, options, x, seed=1):
    """Everything a training step would see: outputs with dropout at work, penalties, and how it is fine-tuned."""
    family = FAMILIES.get(name)
    model = family.build(problem, options, seed)
    outputs = keras.ops.convert_to_numpy(model(x, training=True))
    found = [outputs.ravel(), [float(loss) for loss in model.losses]]
    tuning = family.tuning(options) if isinstance(family, Staged) else None
    if tuning is not None:
        found += [[tuning.share, tuning.rate], family.thaw(model, options)]
    return np.concatenate(found)


def corners(name):
    """Every combination of the options that decide on layers, at the smallest and a larger depth."""
    options = FAMILIES.get(name).Options
    grid = {}
    for field, default in options_of(name).model_dump().items():
        choices = get_args(options.model_fields[field].annotation)
        if role_of(options, field) == "shape" and isinstance(default, bool):
            grid[field] = (True, False)
        elif isinstance(default, str) and 0 < len(choices) <= 4:
            grid[field] = choices
        elif field == "depth":
            grid[field] = (1, 3)
    small = {"width": 4} if "width" in options.model_fields else {}
    return [
        options_of(name, **small, **dict(zip(grid, values, strict=True)))
        for values in itertools.product(*grid.values())
    ]


@pytest.mark.parametrize("name, kind", PAIRS)
class TestEveryFamily:
    def test_builds_at_every_corner_with_one_output_a_unit(self, name, kind):
        family, problem = FAMILIES.get(name), PROBLEMS[kind]
        for options in corners(name):
            assert family.infeasible(problem, options) is None
            model = family.build(problem, options, seed=1)
            assert model.input_shape == (None, *problem.input_shape)
            assert model.output_shape == (None, problem.units), options

    def test_gives_the_same_numbers_after_saving_and_loading(self, name, kind, tmp_path):
        family, problem = FAMILIES.get(name), PROBLEMS[kind]
        fields = family.Options.model_fields
        elsewhere = family.Options(**{field: other_value(family.Options, field, fixed(name)) for field in fields})
        for options in (options_of(name), elsewhere):
            model = family.build(problem, options, seed=1)
            x = inputs(problem)
            model(x, training=True)
            model.save(tmp_path / "model.keras")
            restored = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
            expected = keras.ops.convert_to_numpy(model(x))
            assert (keras.ops.convert_to_numpy(restored(x)) == expected).all()

    def test_learns_eight_examples_by_heart(self, name, kind):
        family, problem = FAMILIES.get(name), PROBLEMS[kind]
        model = family.build(problem, options_of(name, depth=2), seed=1)
        x, y = inputs(problem), np.arange(8) % problem.units
        model.compile(
            keras.optimizers.Adam(0.02),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        losses = [float(model.train_on_batch(x, y)) for _ in range(150)]
        assert losses[-1] < 0.1 < losses[0]

    def test_gives_equal_weights_and_masks_to_equal_seeds_alone(self, name, kind):
        problem = PROBLEMS[kind]
        options = options_of(name, dropout=0.5)
        x = inputs(problem)
        first, second, other = (numbers(name, problem, options, x, seed) for seed in (1, 1, 2))
        assert (first == second).all()
        assert (first != other).any()

    def test_gives_no_two_layers_the_same_first_weights(self, name, kind):
        family, problem = FAMILIES.get(name), PROBLEMS[kind]
        switched_on = {
            field: True for field, default in options_of(name).model_dump().items() if isinstance(default, bool)
        }
        model = family.build(problem, options_of(name, depth=3, width=4, **switched_on), seed=1)
        kernels = [w for w in model.get_weights() if w.ndim > 1]
        for one, two in itertools.combinations(kernels, 2):
            assert one.shape != two.shape or (one != two).any()

    def test_numbers_change_no_shape(self, name, kind):
        family, problem = FAMILIES.get(name), PROBLEMS[kind]
        values = [field for field in family.Options.model_fields if role_of(family.Options, field) == "value"]
        others = {field: other_value(family.Options, field) for field in values}
        plain, turned = (family.build(problem, options_of(name, **o), seed=1) for o in ({}, others))
        assert [layer.name for layer in plain.layers] == [layer.name for layer in turned.layers]
        for one, two in zip(plain.trainable_weights, turned.trainable_weights, strict=True):
            assert one.path == two.path and one.shape == two.shape


@pytest.mark.parametrize("name", FAMILIES.names())
class TestEveryFamilyOnAllItsKinds:
    def test_has_no_dead_option(self, name):
        """Some kind of input and some base must feel each option in what a training step sees."""
        family = FAMILIES.get(name)
        dead = []
        for field in family.Options.model_fields:
            for kind, (base, changed) in itertools.product(
                family.accepts, bases_and_changes(family.Options, field, fixed(name))
            ):
                problem = PROBLEMS[kind]
                x = inputs(problem)
                one, two = (numbers(name, problem, options, x) for options in (base, changed))
                if one.shape != two.shape or (one != two).any():
                    break
            else:
                dead.append(field)
        assert not dead

    def test_refuses_kinds_that_it_does_not_take(self, name):
        family = FAMILIES.get(name)
        for kind in PROBLEMS.keys() - set(family.accepts):
            assert kind in (family.infeasible(PROBLEMS[kind], options_of(name)) or "")

    def test_makes_dropout_l2_and_the_rates_of_tuning_numbers_and_all_else_shape(self, name):
        options = FAMILIES.get(name).Options
        values = {field for field in options.model_fields if role_of(options, field) == "value"}
        assert values == {
            field for field in options.model_fields if field.endswith(("dropout", "l2", "tuning_rate", "decay"))
        }


def test_weights_are_the_same_in_every_process():
    pairs = [(name, vars(PROBLEMS[kind]), fixed(name)) for name, kind in PAIRS]
    script = (
        "import hashlib, sys\n"
        "from searchlab.models import FAMILIES\n"
        "from searchlab.tasks import Problem\n"
        f"cases = [(FAMILIES.get(name), Problem(**problem), given) for name, problem, given in {pairs!r}]\n"
        "assert not any(family.infeasible(problem, family.Options(**given)) for family, problem, given in cases)\n"
        "assert 'keras' not in sys.modules, 'reading options and judging shapes must not load Keras'\n"
        "digest = hashlib.sha256()\n"
        "for family, problem, given in cases:\n"
        "    for weights in family.build(problem, family.Options(**given), seed=7).get_weights():\n"
        "        digest.update(weights.tobytes())\n"
        "print(digest.hexdigest())\n"
    )
    there = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.strip()
    here = hashlib.sha256()
    for name, kind in PAIRS:
        family = FAMILIES.get(name)
        for weights in family.build(PROBLEMS[kind], options_of(name), seed=7).get_weights():
            here.update(weights.tobytes())
    assert there == here.hexdigest()

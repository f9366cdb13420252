"""What is special about perceptrons."""

import keras
import numpy as np

from searchlab.models import FAMILIES
from searchlab.tasks import Problem

MLP = FAMILIES.get("mlp")


def test_the_widths_of_its_layers_may_differ():
    model = MLP.build(Problem("vector", (5,), 2), MLP.Options(depth=3, width=[7, 4, 6]), seed=0)
    assert [w.shape for w in model.get_weights()[::2]] == [(5, 7), (7, 4), (4, 6), (6, 2)]


def test_layers_come_in_the_order_dense_norm_activation_dropout():
    model = MLP.build(Problem("vector", (5,), 2), MLP.Options(depth=1, batch_norm=True, dropout=0.1), seed=0)
    assert [layer.name for layer in model.layers] == [
        *("input", "dense_1", "batch_norm_1", "activation_1", "dropout_1", "output"),
    ]


def test_the_order_of_tokens_and_padding_do_not_count():
    model = MLP.build(Problem("tokens", (5,), 2, vocabulary_size=9), MLP.Options(), seed=0)
    one, two = (
        keras.ops.convert_to_numpy(model(np.array([row], "int32"))) for row in ([1, 2, 3, 0, 0], [0, 3, 0, 2, 1])
    )
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_a_deeper_model_starts_with_the_same_first_layers():
    problem = Problem("vector", (5,), 2)
    shallow, deep = (MLP.build(problem, MLP.Options(depth=depth), seed=0).get_weights() for depth in (1, 2))
    assert (shallow[0] == deep[0]).all()


def test_outputs_are_float32_whatever_the_precision_of_the_layers():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = MLP.build(Problem("vector", (5,), 2), MLP.Options(depth=1), seed=0)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("dense_1").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"

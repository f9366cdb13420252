"""What is special about recurrent networks: their cells, against an oracle in NumPy, and their padding."""

import keras
import numpy as np
import pytest

from searchlab.models import FAMILIES
from searchlab.tasks import Problem

RNN = FAMILIES.get("rnn")
SERIES = Problem("sequence", (5, 3), 2)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def rnn_step(x, h, c, kernel, recurrent, bias):
    """The lecture's vanilla cell: h = tanh(W_xh x + W_hh h)."""
    return np.tanh(x @ kernel + h @ recurrent + bias), c


def lstm_step(x, h, c, kernel, recurrent, bias):
    """One step as in Hochreiter & Schmidhuber 1997 with a forget gate; Keras keeps the gates in the order i f g o."""
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x, h, c, kernel, recurrent, bias):
    """Cho et al. 2014 in the order z r h, the reset gate applied after the product, as cuDNN does."""
    xz, xr, xh = np.split(x @ kernel + bias[0], 3, axis=-1)
    hz, hr, hh = np.split(h @ recurrent + bias[1], 3, axis=-1)
    z = sigmoid(xz + hz)
    return z * h + (1.0 - z) * np.tanh(xh + sigmoid(xr + hr) * hh), c


STEPS = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}


def weights_of(model):
    stream = np.random.default_rng(1)
    weights = [stream.normal(scale=0.5, size=w.shape) for w in model.get_weights()]
    model.set_weights(weights)
    return weights


@pytest.mark.parametrize("cell", STEPS)
def test_a_cell_gives_the_numbers_of_its_equations(cell):
    model = RNN.build(SERIES, RNN.Options(cell=cell, width=4), seed=0)
    kernel, recurrent, bias, out, out_bias = weights_of(model)
    x = np.random.default_rng(0).normal(size=(6, 5, 3))
    h = c = np.zeros((6, 4))
    for t in range(5):
        h, c = STEPS[cell](x[:, t], h, c, kernel, recurrent, bias)
    outputs = keras.ops.convert_to_numpy(model(x.astype("float32")))
    np.testing.assert_allclose(outputs, h @ out + out_bias, rtol=1e-4, atol=1e-5)


def test_both_directions_are_read():
    model = RNN.build(SERIES, RNN.Options(cell="rnn", width=4, bidirectional=True), seed=0)
    kernel, recurrent, bias, back_kernel, back_recurrent, back_bias, out, out_bias = weights_of(model)
    x = np.random.default_rng(0).normal(size=(6, 5, 3))
    forward = backward = np.zeros((6, 4))
    for t in range(5):
        forward, _ = rnn_step(x[:, t], forward, None, kernel, recurrent, bias)
        backward, _ = rnn_step(x[:, 4 - t], backward, None, back_kernel, back_recurrent, back_bias)
    outputs = keras.ops.convert_to_numpy(model(x.astype("float32")))
    expected = np.concatenate([forward, backward], axis=1) @ out + out_bias
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", STEPS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_changes_nothing(cell, bidirectional):
    options = RNN.Options(cell=cell, depth=2, width=4, bidirectional=bidirectional)
    short, long = (RNN.build(Problem("tokens", (time,), 2, vocabulary_size=9), options, seed=0) for time in (4, 7))
    long.set_weights(short.get_weights())
    tokens = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], "int32")
    padded = np.pad(tokens, ((0, 0), (0, 3)))
    outputs = [keras.ops.convert_to_numpy(out) for out in (short(tokens), long(padded))]
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-6)


def test_l2_and_recurrent_l2_weigh_kernels_of_their_own():
    def penalty(**options):
        return sum(float(loss) for loss in RNN.build(SERIES, RNN.Options(width=4, **options), seed=0).losses)

    kernel, recurrent, _, out, _ = RNN.build(SERIES, RNN.Options(width=4), seed=0).get_weights()
    assert penalty() == 0.0
    assert penalty(l2=0.1) == pytest.approx(0.1 * ((kernel**2).sum() + (out**2).sum()), rel=1e-5)
    assert penalty(recurrent_l2=0.1) == pytest.approx(0.1 * (recurrent**2).sum(), rel=1e-5)


def test_every_layer_but_the_last_gives_every_moment():
    model = RNN.build(SERIES, RNN.Options(depth=3, width=[4, 5, 6], normalization="layer"), seed=0)
    assert [model.get_layer(f"lstm_{i}").output.shape[1:] for i in (1, 2, 3)] == [(5, 4), (5, 5), (6,)]

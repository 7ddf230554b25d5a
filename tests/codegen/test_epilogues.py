"""What follows a kernel's own operation elementwise: in its kernel, or beside it."""

import numpy as np
import pytest

import isoconv
from isoconv import layers


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_row_of_a_tile_has_an_epilogue_of_its_own(width, channels):
    x = np.random.default_rng(0).normal(size=(2, 30, width, channels)).astype("float32")
    inputs = isoconv.Input((30, width, channels))
    conv = layers.Conv2D(16, (2, 1), bias_initializer="ones")
    model = isoconv.Model(inputs, layers.ReLU()(conv(inputs)))
    y = model(x)
    taps, bias = conv.get_weights()
    expected = x[:, :-1] @ taps[0, 0] + x[:, 1:] @ taps[1, 0] + bias
    np.testing.assert_allclose(y, np.maximum(expected, 0), rtol=1e-5, atol=1e-5)


def test_rows_of_a_table_are_added_up_before_anything_else_is_done_with_them():
    """The gradient of an Embedding, with one reader: a step of plain gradient descent."""
    model = isoconv.Sequential([isoconv.Input((4,), dtype="int32"), layers.Embedding(5, 3)])
    model.compile(isoconv.optimizers.SGD(0.5), "mse")
    (before,) = model.get_weights()
    words, target = np.array([[0, 1, 1, 3]]), np.ones((1, 4, 3))
    model.fit(words, target, verbose=0)
    gradient = np.zeros_like(before)
    np.add.at(gradient, words[0], (before[words[0]] - target[0]) * 2 / 12)
    np.testing.assert_allclose(model.get_weights()[0], before - 0.5 * gradient, rtol=1e-5)

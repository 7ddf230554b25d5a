"""Epilogues of register tiles whose rows lie along an axis of size 1."""

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

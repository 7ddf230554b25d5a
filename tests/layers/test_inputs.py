"""What every one of these layers takes: dtypes, empty batches, arrays of any layout, lists."""

import numpy as np
import pytest
from oracle import numbers

from isoconv import layers, ops

LAYERS = {
    "Activation": lambda **kw: layers.Activation("gelu", **kw),
    "ReLU": lambda **kw: layers.ReLU(1.0, 0.1, 0.2, **kw),
    "LeakyReLU": layers.LeakyReLU,
    "ELU": layers.ELU,
    "PReLU": layers.PReLU,
    "Softmax": layers.Softmax,
    "BatchNormalization": layers.BatchNormalization,
    "LayerNormalization": layers.LayerNormalization,
    "SpatialDropout1D": lambda **kw: layers.SpatialDropout1D(0.5, **kw),
    "GaussianNoise": lambda **kw: layers.GaussianNoise(0.5, **kw),
    "Masking": layers.Masking,
    "Rescaling": lambda **kw: layers.Rescaling(1 / 255, [1, 2, 3, 4], **kw),
    "TimeDistributed": lambda **kw: layers.TimeDistributed(layers.Dense(2, **kw), **kw),
    "Lambda": lambda **kw: layers.Lambda(ops.tanh, **kw),
}
MERGES = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]


@pytest.mark.parametrize("name", LAYERS)
def test_float32_is_float64_rounded(name):
    x = numbers(3, 5, 4).astype("float32")
    single, double = LAYERS[name](), LAYERS[name](dtype="float64")
    double(x)
    single(x)
    single.set_weights(double.get_weights())
    y = single(x)
    assert y.dtype == "float32"
    np.testing.assert_allclose(y, double(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float64"])
def test_numbers_become_those_of_the_layer(name, dtype):
    x = np.arange(24).reshape(2, 3, 4)
    layer = LAYERS[name]()
    y = layer(x.astype(dtype))
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y, layer(x.astype("float32")))


@pytest.mark.parametrize("name", LAYERS)
def test_any_layout_and_no_samples(name):
    x = numbers(6, 5, 8).astype("float32")
    layer = LAYERS[name]()
    view = x[::2, :, ::2]
    view.flags.writeable = False
    y = layer(view)
    np.testing.assert_array_equal(y, layer(view.copy()))
    assert layer(view[:0]).shape == (0, *y.shape[1:])


@pytest.mark.parametrize("name", MERGES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_merges_keep_the_dtype_and_take_no_samples(name, dtype):
    layer = getattr(layers, name)(dtype=dtype)
    x = [numbers(3, 5, 4, seed=i) for i in range(2)]
    y = layer(x)
    assert y.dtype == dtype
    expected = getattr(layers, name)(dtype="float64")(x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert layer([each[:0] for each in x]).shape == (0, *y.shape[1:])

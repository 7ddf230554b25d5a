"""Activation layers against Keras."""

import keras
import numpy as np
import pytest
from oracle import both, close, compare, numbers

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError, ShapeError

LAYERS = [
    ("Activation", ("gelu",), {}),
    ("Activation", ("softmax",), {}),
    ("ReLU", (), {}),
    ("ReLU", (), {"max_value": 0.7}),
    ("ReLU", (), {"max_value": 6}),
    ("ReLU", (), {"negative_slope": 0.2}),
    ("ReLU", (), {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.3}),
    ("ReLU", (), {"threshold": 0.5}),
    ("LeakyReLU", (), {}),
    ("LeakyReLU", (0.05,), {}),
    ("ELU", (0.4,), {}),
    ("PReLU", (), {}),
    ("PReLU", (), {"shared_axes": [1], "alpha_initializer": "ones"}),
    ("Softmax", (), {}),
    ("Softmax", (), {"axis": 1}),
    ("Softmax", (), {"axis": [1, 2]}),
]


@pytest.mark.parametrize(("name", "args", "options"), LAYERS, ids=str)
def test_layer_is_keras(name, args, options):
    compare(name, numbers(3, 5, 4), *args, **options)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33])
def test_softmax_at_the_tails_of_vectors(size):
    x, flow = numbers(2, size), numbers(2, size, seed=1)
    y, pullback = isoconv.vjp(layers.Softmax(dtype="float64"), x)
    expected = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    close(y, expected)
    close(pullback(flow)[0], expected * (flow - (flow * expected).sum(-1, keepdims=True)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_inputs_stay_finite(dtype):
    x = np.array([[-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4]], dtype)
    for layer in (layers.ELU(dtype=dtype), layers.Softmax(dtype=dtype)):
        y, pullback = isoconv.vjp(layer, x)
        assert y.dtype == dtype
        assert np.isfinite(y).all()
        assert np.isfinite(pullback(np.ones_like(y))[0]).all()


@pytest.mark.parametrize("shape", [(3, 4), (1, 4), (4,), (3, 1), (2, 3, 4)])
@pytest.mark.parametrize("kind", ["bool", "float64"])
def test_masked_elements_have_probability_zero(shape, kind):
    mask = (numbers(*shape) > 0).astype(kind)
    ours, theirs = both("Softmax")
    x = numbers(2, 3, 4)
    close(ours(x, mask=mask), theirs(x, mask=mask))


def test_mask_of_steps_leaves_softmax_as_it_is():
    x = numbers(2, 3, 4)
    x[:, 2] = 0
    inputs = isoconv.Input((3, 4))
    model = isoconv.Model(inputs, layers.Softmax()(layers.Masking()(inputs)))
    close(model(x), layers.Softmax()(x), rtol=1e-6)


def test_mask_that_does_not_broadcast():
    with pytest.raises(ShapeError, match="Softmax"):
        layers.Softmax()(np.ones((2, 3, 4)), mask=np.ones((3, 3), bool))


def test_slope_by_its_old_name():
    with pytest.warns(UserWarning, match="negative_slope"):
        assert layers.LeakyReLU(alpha=0.1).negative_slope == 0.1


def test_slopes_of_unknown_length_must_be_shared():
    with pytest.raises(ShapeError, match="PReLU"):
        layers.PReLU().build((None, None, 3))
    layer = layers.PReLU(shared_axes=1)
    layer.build((None, None, 3))
    assert layer.alpha.shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("ReLU", {"max_value": -1}, "max_value"),
        ("ReLU", {"negative_slope": -0.1}, "negative_slope"),
        ("ReLU", {"negative_slope": None}, "negative_slope"),
        ("ReLU", {"threshold": float("nan")}, "threshold"),
        ("LeakyReLU", {"negative_slope": "0.1"}, "negative_slope"),
        ("ELU", {"alpha": None}, "alpha"),
        ("PReLU", {"shared_axes": "1"}, "shared_axes"),
        ("Softmax", {"axis": 0.5}, "axis"),
        ("Activation", {"activation": "rilu"}, "rilu"),
    ],
)
def test_wrong_argument(name, options, word):
    with pytest.raises(ArgumentError, match=word):
        getattr(layers, name)(**options)


def test_axis_outside_the_input():
    with pytest.raises(ArgumentError, match=r"PReLU 'p_re_lu.*': shared_axes"):
        layers.PReLU(shared_axes=[3]).build((None, 4, 2))
    with pytest.raises(ArgumentError, match=r"Softmax 'softmax.*': .*axis"):
        layers.Softmax(axis=2)(np.ones((2, 3)))


def test_keras_reads_our_configs():
    for name, args, options in LAYERS:
        ours = getattr(layers, name)(*args, **options)
        theirs = getattr(keras.layers, name).from_config(ours.get_config())
        again = getattr(layers, name).from_config(theirs.get_config())
        assert again.get_config() == ours.get_config()

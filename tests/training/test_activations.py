"""Activation functions against Keras, by name, as functions and as data."""

import jax
import keras
import numpy as np
import pytest
from oracle import close, numbers

import isoconv
from isoconv import activations
from isoconv.errors import ArgumentError

NAMES = sorted(keras.src.activations.ALL_OBJECTS_DICT)
OPTIONS = [
    ("relu", {"negative_slope": 0.1, "max_value": 1.0, "threshold": 0.2}),
    ("relu", {"max_value": 0.5}),
    ("relu", {"negative_slope": 0.3}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("elu", {"alpha": 0.3}),
    ("celu", {"alpha": 2.0}),
    ("gelu", {"approximate": True}),
    ("softmax", {"axis": 0}),
    ("log_softmax", {"axis": 0}),
    ("glu", {"axis": 0}),
    ("squareplus", {"b": 1}),
    ("soft_shrink", {"threshold": 0.2}),
    ("hard_shrink", {"threshold": 0.2}),
]
# Away from 0 and from each other, so that no element lies on a kink.
X = 4 * numbers(4, 8)
REQUIRED = {"threshold": {"threshold": 0.3, "default_value": -2.0}}


def check(name, options):
    ours, theirs = getattr(activations, name), getattr(keras.activations, name)
    if name == "tanh":  # Keras' gives float32 for float64
        theirs = jax.numpy.tanh
    options = REQUIRED.get(name, {}) | options
    expected, pull = jax.vjp(lambda x: theirs(x, **options), X)
    flow = numbers(*expected.shape, seed=1)
    actual, pullback = isoconv.vjp(lambda x: ours(x, **options), X)
    close(actual, expected, rtol=1e-10)
    close(pullback(flow)[0], pull(flow)[0], rtol=1e-10)


# Keras 3.15's sparsemax adds up all cumulative sums of the support instead of taking the last:
# its results do not sum to 1.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "sparsemax"])
def test_activation_is_keras(name):
    check(name, {})


@pytest.mark.parametrize("axis", [0, -1])
def test_sparsemax_is_the_nearest_point_of_the_simplex(axis):
    x = np.concatenate([X, np.round(X), 0 * X])
    y, pullback = isoconv.vjp(lambda x: activations.sparsemax(x, axis), x)
    close(y.sum(axis), np.ones_like(y.sum(axis)))
    # On its support y is x less one number, elsewhere x is below that number.
    inside = y > 0
    cut = np.where(inside, x - y, -np.inf).max(axis, keepdims=True)
    close(y, np.maximum(x - cut, 0))
    flow = numbers(*x.shape, seed=2)
    mean = (flow * inside).sum(axis, keepdims=True) / inside.sum(axis, keepdims=True)
    close(pullback(flow)[0], np.where(inside, flow - mean, 0))


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_activation_with_options_is_keras(name, options):
    check(name, options)


def test_a_wrong_gradient_is_caught(monkeypatch):
    def wrong(x):
        return isoconv.ops.tanh(x) + 0.001 * (x - isoconv.ops.stop_gradient(x))

    monkeypatch.setattr(activations, "tanh", wrong)
    with pytest.raises(AssertionError):
        check("tanh", {})


@pytest.mark.parametrize("name", [name for name in NAMES if name not in REQUIRED])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_inputs_give_finite_gradients(name, dtype):
    bound = 80.0 if name == "exponential" else 1e4
    x = np.array([[-bound, -100.0, -0.0, 0.0, 50.0, bound]], dtype)
    y, pullback = isoconv.vjp(activations.get(name), x)
    assert y.dtype == dtype
    assert np.isfinite(y).all()
    assert np.isfinite(pullback(np.ones_like(y))[0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_names_go_both_ways(name):
    function = activations.get(name)
    data = activations.serialize(function)
    assert activations.deserialize(data) is function
    assert keras.activations.serialize(keras.activations.get(data)) == data
    assert isoconv.layers.Dense(2, activation=name).get_config()["activation"] == data


def test_other_ways_to_name_an_activation():
    assert activations.get(None) is activations.linear
    assert activations.get(np.tanh) is np.tanh
    assert activations.deserialize("mine", {"mine": np.tanh}) is np.tanh
    with pytest.raises(ArgumentError, match=r"relu6.*'rilu'"):
        activations.get("rilu")
    with pytest.raises(ArgumentError):
        activations.get(3)


def test_activations_draw_models():
    inputs = isoconv.Input((8,))
    for name in ("gelu", "relu", "mish", "sparsemax", "glu"):
        function = activations.get(name)
        model = isoconv.Model(inputs, function(inputs))
        np.testing.assert_allclose(model(X), function(X.astype("float32")), rtol=1e-5, atol=1e-6)

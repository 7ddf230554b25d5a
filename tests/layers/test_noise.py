"""Layers that draw random numbers: which, how often, again the same, and their gradients."""

import keras
import numpy as np
import pytest
from oracle import numbers

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError, ShapeError
from isoconv.ops import random

DROPOUTS = [
    ("Dropout", (64, 9, 5), {}),
    ("Dropout", (64, 9, 5), {"noise_shape": (None, 1, None)}),
    ("AlphaDropout", (64, 9, 5), {}),
    ("GaussianDropout", (64, 9, 5), {}),
    ("SpatialDropout1D", (64, 9, 5), {}),
    ("SpatialDropout2D", (64, 3, 3, 5), {}),
    ("SpatialDropout2D", (64, 5, 3, 3), {"data_format": "channels_first"}),
    ("SpatialDropout3D", (64, 3, 1, 3, 5), {}),
    ("SpatialDropout3D", (64, 5, 3, 1, 3), {"data_format": "channels_first"}),
]
ALL = [*DROPOUTS, ("GaussianNoise", (64, 9, 5), {})]


def make(name, options, rate=0.4, **more):
    return getattr(layers, name)(rate, **options, **more)


@pytest.mark.parametrize(("name", "shape", "options"), ALL, ids=str)
def test_does_nothing_outside_training(name, shape, options):
    x = numbers(*shape).astype("float32")
    np.testing.assert_array_equal(make(name, options)(x), x)
    np.testing.assert_array_equal(make(name, options, rate=0)(x, training=True), x)


@pytest.mark.parametrize(("name", "shape", "options"), ALL, ids=str)
def test_repeats_with_its_seed_only(name, shape, options):
    x = numbers(*shape).astype("float32")
    layer = make(name, options, seed=3)
    first, second = layer(x, training=True), layer(x, training=True)
    assert (first != second).any()
    np.testing.assert_array_equal(make(name, options, seed=3)(x, training=True), first)
    assert (make(name, options, seed=4)(x, training=True) != first).any()
    drawn = []
    for _ in range(2):
        isoconv.utils.set_random_seed(5)
        drawn.append(make(name, options)(x, training=True))
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize(("name", "shape", "options"), ALL, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_uses_the_choices_of_the_way_forth(name, shape, options, dtype):
    check_choices(make(name, options, seed=1, dtype=dtype), numbers(*shape).astype(dtype))


def check_choices(layer, x):
    """These layers are linear in x once the choices are made: f(x) - f(0) = gradient * x."""
    y, pullback = isoconv.vjp(layer, x, training=True)
    slope = pullback(np.ones_like(y))[0]
    again = type(layer).from_config(layer.get_config())
    at_zero = again(np.zeros_like(x), training=True)
    np.testing.assert_allclose(y - at_zero, slope * x, rtol=1e-4, atol=1e-5)


def test_other_choices_on_the_way_back_are_caught(monkeypatch):
    dropout, calls = random.dropout, []

    def forgetful(x, rate, shape, seed):
        calls.append(seed)
        return dropout(x, rate, shape, len(calls))

    monkeypatch.setattr(random, "dropout", forgetful)
    with pytest.raises(AssertionError):
        check_choices(layers.Dropout(0.4, seed=1), numbers(64, 9))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("name", "shape", "options"), DROPOUTS[4:], ids=str)
def test_channels_are_dropped_as_one(name, shape, options, rate):
    y = make(name, options, rate, seed=2)(np.ones(shape), training=True)
    axis = 1 if options else -1
    by_channel = np.moveaxis(y, axis, 1).reshape(shape[0], shape[axis], -1)
    np.testing.assert_array_equal(by_channel.min(-1), by_channel.max(-1))
    np.testing.assert_allclose(np.unique(by_channel), [0, 1 / (1 - rate)], rtol=1e-6)
    assert abs((by_channel[..., 0] == 0).mean() - rate) < 0.1


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_moments_of_the_noise(rate):
    x = numbers(100, 1000).astype("float32")
    added = layers.GaussianNoise(rate, seed=1)(x, training=True) - x
    factor = layers.GaussianDropout(rate, seed=1)(np.ones_like(x), training=True)
    alpha = layers.AlphaDropout(rate, seed=1)(x, training=True)
    assert abs(added.mean()) < 0.01
    assert added.std() == pytest.approx(rate, rel=0.02)
    assert factor.mean() == pytest.approx(1, abs=0.02)
    assert factor.std() == pytest.approx(np.sqrt(rate / (1 - rate)), rel=0.02)
    assert alpha.mean() == pytest.approx(0, abs=0.02)
    assert alpha.std() == pytest.approx(1, abs=0.02)
    assert np.unique(alpha, return_counts=True)[1].max() / x.size == pytest.approx(rate, abs=0.01)


def test_everything_dropped():
    x = np.ones((3, 4, 2))
    for name in ("Dropout", "SpatialDropout1D", "AlphaDropout"):
        y = getattr(layers, name)(1.0)(x, training=True)
        np.testing.assert_array_equal(y, np.zeros_like(x))


def test_activity_regularization():
    x = numbers(4, 3)
    ours = layers.ActivityRegularization(0.1, 0.2, dtype="float64")
    theirs = keras.layers.ActivityRegularization(0.1, 0.2, dtype="float64")
    np.testing.assert_array_equal(ours(x), theirs(x))
    assert float(ours.losses[0]) == pytest.approx(float(theirs.losses[0]), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "shape", "options"), [*ALL, ("ActivityRegularization", (), {})], ids=str
)
def test_configs_go_both_ways(name, shape, options):
    ours = make(name, options)
    theirs = getattr(keras.layers, name).from_config(ours.get_config())
    again = type(ours).from_config(theirs.get_config())
    assert again.get_config() == ours.get_config()


@pytest.mark.parametrize("rate", [-0.1, 1.1, "0.5", None, True, float("nan")])
@pytest.mark.parametrize("name", ["Dropout", "SpatialDropout2D", "GaussianDropout", "AlphaDropout"])
def test_wrong_rate(name, rate):
    with pytest.raises(ArgumentError, match=rf"{name} '.*': rate: expected .* from 0 to 1"):
        getattr(layers, name)(rate)


def test_wrong_shapes_and_formats():
    with pytest.raises(ArgumentError, match=r"GaussianDropout .*: rate"):
        layers.GaussianDropout(1.0)
    with pytest.raises(ArgumentError, match=r"SpatialDropout2D .*: data_format"):
        layers.SpatialDropout2D(0.5, "channel_first")
    with pytest.raises(ShapeError, match=r"SpatialDropout1D .*: input: expected 3 dimensions"):
        layers.SpatialDropout1D(0.5)(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"Dropout .*: noise_shape: expected 3 sizes"):
        layers.Dropout(0.5, (None, 1))(np.ones((2, 3, 4)), training=True)

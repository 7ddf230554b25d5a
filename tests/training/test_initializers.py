"""Initializers: distributions, fans, seeds, names and configs."""

import math

import keras
import numpy as np
import pytest
from oracle import numbers

import isoconv
from isoconv import initializers, layers
from isoconv.errors import ArgumentError, ShapeError

NAMES = sorted(
    name
    for name in keras.src.initializers.ALL_OBJECTS_DICT
    if "stft" not in name.lower() and name not in ("Initializer", "initializer")
)
SHAPE = (3, 5, 40, 60)
FAN_IN, FAN_OUT = 600, 900
STDDEV = {
    "random_normal": 0.05,
    "random_uniform": 0.1 / math.sqrt(12),
    # Cut at two standard deviations, the normal distribution keeps 0.87963 of one.
    "truncated_normal": 0.05 * 0.8796,
    "variance_scaling": math.sqrt(1 / FAN_IN),
    "glorot_uniform": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "glorot_normal": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "he_uniform": math.sqrt(2 / FAN_IN),
    "he_normal": math.sqrt(2 / FAN_IN),
    "lecun_uniform": math.sqrt(1 / FAN_IN),
    "lecun_normal": math.sqrt(1 / FAN_IN),
    "orthogonal": math.sqrt(1 / FAN_IN),
}
# The largest value over the standard deviation.
REACH = {"uniform": math.sqrt(3), "truncated": 2 / 0.8796}


@pytest.mark.parametrize("name", STDDEV)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distribution(name, dtype):
    values = getattr(initializers, name)(seed=1)(SHAPE, dtype)
    assert values.shape == SHAPE
    assert values.dtype == dtype
    count = values.size
    assert abs(values.mean()) < 4 * STDDEV[name] / math.sqrt(count)
    assert values.std() == pytest.approx(STDDEV[name], rel=4 / math.sqrt(count))
    kind = "truncated" if name.endswith("_normal") and name != "random_normal" else "uniform"
    if "uniform" in name or kind == "truncated":
        reach = np.abs(values).max() / STDDEV[name]
        assert 0.98 * REACH[kind] < reach < 1.001 * REACH[kind]


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["uniform", "normal", "untruncated_normal"])
def test_variance_scaling(mode, distribution):
    fan = {"fan_in": FAN_IN, "fan_out": FAN_OUT, "fan_avg": (FAN_IN + FAN_OUT) / 2}[mode]
    values = initializers.VarianceScaling(3.0, mode, distribution, seed=2)(SHAPE)
    assert values.std() == pytest.approx(math.sqrt(3 / fan), rel=0.02)


@pytest.mark.parametrize("shape", [(), (5,), (4, 7), (3, 4, 7), (2, 3, 4, 7)])
def test_fans_are_keras(shape):
    axes = ((0,), (-1,)) if shape else ((), ())
    theirs = keras.src.initializers.random_initializers.compute_fans(shape)
    assert initializers.compute_fans(shape) == theirs
    theirs = keras.src.initializers.random_initializers.compute_fans(shape, *axes)
    assert initializers.compute_fans(shape, *axes) == theirs


@pytest.mark.parametrize("shape", [(5, 5), (9, 4), (4, 9), (3, 2, 7), (2, 2, 20)])
def test_orthogonal(shape):
    matrix = initializers.Orthogonal(gain=2.0, seed=3)(shape, "float64").reshape(-1, shape[-1])
    small = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)


def test_fixed_values():
    np.testing.assert_array_equal(initializers.Identity(3.0)((2, 3)), 3 * np.eye(2, 3))
    np.testing.assert_array_equal(initializers.Constant([1, 2])((3, 2)), [[1, 2]] * 3)
    table = numbers(3, 2)
    layer = layers.Dense(2, kernel_initializer=table, bias_initializer=initializers.Constant(5))
    layer.build((None, 3))
    np.testing.assert_allclose(layer.kernel, table, rtol=1e-6)
    np.testing.assert_array_equal(layer.bias, [5, 5])


@pytest.mark.parametrize("name", STDDEV)
def test_seeds_repeat(name):
    make = getattr(initializers, name)
    seeded = make(seed=7)
    np.testing.assert_array_equal(seeded((4, 5)), seeded((4, 5)))
    assert (make(seed=8)((4, 5)) != seeded((4, 5))).any()
    drawn = []
    for _ in range(2):
        isoconv.utils.set_random_seed(11)
        drawn.append([make()((4, 5)), make()((4, 5))])
    np.testing.assert_array_equal(*drawn)
    assert (drawn[0][0] != drawn[0][1]).any()


@pytest.mark.parametrize("name", NAMES)
def test_names_and_configs_go_both_ways(name):
    data = initializers.serialize(initializers.get(name))
    theirs = keras.initializers.deserialize(data)
    assert type(theirs) is keras.src.initializers.ALL_OBJECTS_DICT[name]
    again = initializers.deserialize(keras.initializers.serialize(theirs))
    assert initializers.serialize(again) == data


def test_arrays_of_keras_are_read():
    theirs = keras.initializers.serialize(keras.initializers.Constant(np.arange(3.0)))
    np.testing.assert_array_equal(initializers.deserialize(theirs)((3,)), [0, 1, 2])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: initializers.get("glorot"), "glorot_uniform"),
        (lambda: initializers.get(3), "initializers"),
        (lambda: initializers.VarianceScaling(0), "scale"),
        (lambda: initializers.VarianceScaling(mode="fan"), "mode"),
        (lambda: initializers.VarianceScaling(distribution="even"), "distribution"),
        (lambda: initializers.HeNormal(seed=1.5), "seed"),
        (lambda: initializers.Orthogonal()((3,)), "two sizes"),
        (lambda: initializers.Identity()((3, 3, 3)), "two sizes"),
        (lambda: initializers.Constant([1, 2])((3,)), "shape"),
    ],
)
def test_wrong_argument(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()


def test_shape_that_a_function_of_the_user_gets_wrong():
    with pytest.raises(ShapeError, match="kernel"):
        layers.Dense(2, kernel_initializer=lambda shape, dtype: np.ones(3)).build((None, 3))

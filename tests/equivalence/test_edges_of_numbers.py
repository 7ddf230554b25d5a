"""What no real number follows: divisions by 0, huge and endless constants, integers that wrap."""

import numpy as np
import pytest

import isoconv
from isoconv import equivalent, layers, ops

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("function", "other"),
    [
        pytest.param(lambda x: x * x / x, lambda x: x, id="x * x / x is no x at 0"),
        pytest.param(lambda x: x / x, lambda x: x * 0 + 1, id="x / x is no 1 at 0"),
        pytest.param(lambda x: 1 / (x - x), lambda x: x * 0, id="1 / (x - x)"),
        pytest.param(lambda x: x / 0.0, lambda x: x * 0, id="x / 0"),
        pytest.param(lambda x: x + 2e38, lambda x: x + 3e38, id="huge constants"),
        pytest.param(lambda x: x + INF, lambda x: x - INF, id="infinities"),
        pytest.param(lambda x: x * NAN, lambda x: x * -INF, id="NaN"),
    ],
)
def test_what_differs_where_numbers_end_is_not_equal(function, other):
    x = np.array([[-2.0, 0.0, 3.0]], "float32")
    with np.errstate(all="ignore"):
        assert not np.array_equal(function(x), other(x), equal_nan=True)
    assert equivalent(layers.Lambda(function), layers.Lambda(other), (3,)).relation != "equal"


def test_division_by_constants_and_by_the_same_is_still_followed():
    pairs = [
        (lambda x: (x * 3) / 3, lambda x: x),
        (lambda x: ops.exp(x) / (1 + x * x), lambda x: ops.exp(x) / (x * x + 1)),
    ]
    for one, two in pairs:
        assert equivalent(layers.Lambda(one), layers.Lambda(two), (3,)), one


@pytest.mark.parametrize(
    ("function", "other", "value"),
    [
        pytest.param(
            lambda x: ops.cast(x * 65536, "float32"),
            lambda x: ops.cast(x, "float32") * 65536,
            70000,
            id="floats",
        ),
        pytest.param(
            lambda x: ops.cast(x * 65536, "int64"),
            lambda x: ops.cast(x, "int64") * 65536,
            70000,
            id="wider integers",
        ),
        pytest.param(
            lambda x: ops.cast(ops.cast(x, "bool"), "int32"), lambda x: x, 7, id="truth values"
        ),
    ],
)
def test_integers_come_round_and_wider_numbers_do_not(function, other, value):
    def model(function):
        x = isoconv.Input((3,), dtype="int32")
        return isoconv.Model(x, layers.Lambda(function)(x))

    a, b, x = model(function), model(other), np.full((1, 3), value, "int32")
    assert not np.array_equal(a(x), b(x))
    assert equivalent(a, b).relation != "equal"


@pytest.mark.parametrize(("one", "two"), [(INF, NAN), (INF, -INF), (NAN, 0.0), (INF, 2.0**63)])
def test_weights_that_are_no_numbers_are_told_apart(one, two):
    def dense(value):
        model = isoconv.Sequential([isoconv.Input((3,)), layers.Dense(2, use_bias=False)])
        model.set_weights([np.array([[0, 1], [2, value], [4, 5]], "float32")])
        return model

    assert equivalent(dense(one), dense(two), weights="given").relation == "different"
    assert equivalent(dense(one), dense(one), weights="given")


def run(chain, x, weights):
    model = isoconv.Sequential([isoconv.Input(x.shape), *chain])
    model.set_weights(weights)
    return np.asarray(model(x[None].astype("float32"))).reshape(-1)


NORM = {"center": False}


@pytest.mark.parametrize(
    ("a", "b", "shape"),
    [
        pytest.param(
            lambda: [layers.Conv1D(2, 1)],
            lambda: [layers.Conv1D(2, 1, activation="relu")],
            (5, 4),
            id="negative outputs that relu has none of",
        ),
        pytest.param(
            lambda: [layers.BatchNormalization(**NORM), layers.ZeroPadding1D(1)],
            lambda: [layers.ZeroPadding1D(1), layers.BatchNormalization(**NORM)],
            (7, 4),
            id="fitted variances that would be negative",
        ),
    ],
)
def test_a_counterexample_differs_when_it_is_run(a, b, shape):
    found = equivalent(a(), b(), shape)
    example = found.counterexample
    assert found.relation == "different"
    own = (example.weights, example.other_weights)
    first, second = own if example.side == "a" else own[::-1]
    y, z = run(a(), example.input, first), run(b(), example.input, second)
    assert np.isfinite([y[example.place], z[example.place]]).all()
    assert abs(y[example.place] - z[example.place]) > 1e-6

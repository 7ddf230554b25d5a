"""Regularizers against Keras, and how their penalties become losses."""

import keras
import numpy as np
import pytest
from oracle import close, numbers

import isoconv
from isoconv import layers, regularizers
from isoconv.errors import ArgumentError

KINDS = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {"l2": 0.3}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.1, "l2": 0.2}),
    ("OrthogonalRegularizer", {"factor": 0.5}),
    ("OrthogonalRegularizer", {"mode": "columns"}),
]


@pytest.mark.parametrize(("name", "options"), KINDS, ids=str)
def test_penalty_is_keras(name, options):
    ours = getattr(regularizers, name)(**options)
    theirs = getattr(keras.regularizers, name)(**options)
    x = numbers(4, 3)
    close(ours(x), theirs(keras.ops.convert_to_tensor(x)), rtol=1e-7)
    again = keras.regularizers.deserialize(regularizers.serialize(ours))
    # Keras keeps the factors as float32.
    close(regularizers.deserialize(keras.regularizers.serialize(again))(x), ours(x), rtol=1e-6)


@pytest.mark.parametrize(("name", "options"), KINDS, ids=str)
def test_gradient_is_the_slope(name, options):
    penalty = getattr(regularizers, name)(**options)
    x, way = numbers(4, 3), numbers(4, 3, seed=1)
    slope = isoconv.vjp(penalty, x)[1](1.0)[0]
    step = 1e-6
    rise = (penalty(x + step * way) - penalty(x - step * way)) / (2 * step)
    assert np.sum(slope * way) == pytest.approx(float(rise), rel=1e-6, abs=1e-9)


def test_penalties_are_losses_of_the_layer():
    layer = layers.Conv1D(
        2, 3, kernel_regularizer="l1", bias_regularizer="l2", activity_regularizer="L1L2"
    )
    x = numbers(5, 8, 3).astype("float32")
    layer(x)
    layer.bias.assign(np.ones(2))
    kernel = np.abs(layer.kernel.numpy()).sum()
    assert [float(loss) for loss in layer.losses[1:]] == pytest.approx([0.01 * kernel, 0.02])


def test_activity_is_divided_by_the_batch():
    layer = layers.Activation("linear", activity_regularizer=regularizers.L1(1.0))
    for batch in (1, 4):
        layer(np.ones((batch, 3)))
        assert float(layer.losses[0]) == 3.0


def test_names():
    for name in ("l1", "L1", "l2", "L2", "l1l2", "L1L2", "l1_l2", "orthogonal_regularizer"):
        assert isinstance(regularizers.get(name), regularizers.Regularizer)
    assert regularizers.get(None) is None
    assert regularizers.l1_l2 is regularizers.L1L2
    mine = regularizers.get(lambda x: 0.0)
    assert mine(3) == 0.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: regularizers.L1(-1), "L1: l1: expected a finite number of at least 0; got -1"),
        (lambda: regularizers.L2(float("inf")), "L2: l2"),
        (lambda: regularizers.L1L2(l2="0.1"), "L1L2: l2"),
        (lambda: regularizers.OrthogonalRegularizer(mode="row"), "mode"),
        (lambda: regularizers.OrthogonalRegularizer()(np.ones((2, 3, 4))), "a matrix"),
        (lambda: regularizers.get("l3"), "'l3'"),
    ],
)
def test_wrong_argument(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()

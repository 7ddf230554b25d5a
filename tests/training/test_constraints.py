"""Constraints against Keras, at once and as part of a compiled step."""

import keras
import numpy as np
import pytest
from oracle import close, numbers

import isoconv
from isoconv import constraints, layers
from isoconv.errors import ArgumentError

KINDS = [
    ("NonNeg", {}),
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.5, "axis": [0, 1]}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {"min_value": 0.4, "max_value": 0.9}),
    ("MinMaxNorm", {"min_value": 0.4, "max_value": 0.9, "rate": 0.3, "axis": [0, 1, 2]}),
]


@pytest.mark.parametrize(("name", "options"), KINDS, ids=str)
def test_constraint_is_keras(name, options):
    ours = getattr(constraints, name)(**options)
    theirs = getattr(keras.constraints, name)(**options)
    w = numbers(3, 4, 2)
    w[0, 1] = 0
    close(ours(w), theirs(w))
    data = constraints.serialize(ours)
    again = keras.constraints.serialize(keras.constraints.deserialize(data))
    assert constraints.serialize(constraints.deserialize(again)) == data


def test_constraints_live_in_a_compiled_step():
    layer = layers.Dense(3, kernel_constraint="unit_norm", bias_constraint="non_neg")
    layer.build((None, 4))

    class Step(layers.Layer):
        def call(self, x):
            for weight in layer.trainable_weights:
                weight.assign(weight.constraint(weight - x))
            return x

    Step()(np.ones(()))
    np.testing.assert_allclose(np.linalg.norm(layer.kernel, axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(layer.bias, np.zeros(3))


def test_names():
    for name in ("non_neg", "MaxNorm", "max_norm", "unit_norm", "min_max_norm"):
        assert isinstance(constraints.get(name), constraints.Constraint)
    assert constraints.get(None) is None
    assert constraints.max_norm is constraints.MaxNorm
    with pytest.raises(ArgumentError, match="'norm'"):
        constraints.get("norm")


def test_a_constraint_of_the_user():
    @isoconv.register_keras_serializable("tests")
    class Halved(constraints.Constraint):
        def __call__(self, w):
            return w * 0.5

    data = constraints.serialize(Halved())
    assert isinstance(constraints.deserialize(data), Halved)

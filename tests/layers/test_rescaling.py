"""Rescaling against Keras, in calls, files and for bytes."""

import keras
import numpy as np
import pytest
from oracle import numbers

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 1 / 255},
        {"scale": 2.0, "offset": -1},
        {"scale": [1, 2, 3], "offset": [0.5, 1, 2]},
    ],
)
def test_values_are_those_of_keras_also_from_a_file(options, tmp_path):
    x = (numbers(2, 6, 6, 3) * 100).astype("uint8")
    layer = layers.Rescaling(**options)
    expected = np.asarray(keras.layers.Rescaling(**options)(x))
    np.testing.assert_array_equal(layer(x), expected)
    model = isoconv.Sequential([isoconv.Input((6, 6, 3)), layer, layers.Conv2D(2, 3)])
    model.save(tmp_path / "m.keras")
    opened = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(opened.predict(x, verbose=0), model.predict(x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("scale", ["much", None, float("nan"), [[1, 2]]])
def test_what_is_no_scale_is_refused(scale):
    with pytest.raises(ArgumentError, match=r"Rescaling .*: scale: expected a number, or a list"):
        layers.Rescaling(scale)

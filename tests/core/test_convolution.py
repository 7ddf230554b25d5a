"""Conv1D, Conv2D, Conv3D against Keras, and what Keras has not, against its own meaning."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from oracle import both, close, compare, numbers, share_weights

import isoconv
from isoconv.errors import ArgumentError, ShapeError

GEOMETRIES = [
    {"strides": stride, "dilation_rate": dilation, "padding": padding}
    for stride, dilation, padding in product((1, 2, 3), (1, 2), ("valid", "same", "causal"))
    if stride == 1 or dilation == 1
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_over_one_axis(geometry):
    compare("Conv1D", numbers(2, 8, 3), 5, 3, **geometry)
    ours, theirs = both("Conv1D", 5, 3, **geometry)
    share_weights(ours, theirs, (None, None, 3))
    for length in (5, 7, 9):
        close(ours(numbers(2, length, 3)), theirs(numbers(2, length, 3)))


@pytest.mark.parametrize("name", ["Conv2D", "Conv3D"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2])
def test_over_more_axes(name, padding, strides):
    rank = int(name[4])
    x = numbers(2, *(6, 5, 4)[:rank], 2)
    compare(name, x, 3, (3, 2, 2)[:rank], strides=strides, padding=padding, activation="sigmoid")


def test_unequal_strides():
    compare("Conv2D", numbers(1, 7, 8, 2), 3, (3, 2), strides=(2, 1))
    compare("Conv2D", numbers(1, 9, 8, 2), 3, (3, 2), dilation_rate=(2, 3), padding="same")


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_and_data_formats(data_format, groups):
    x = numbers(2, 7, 4) if data_format == "channels_last" else numbers(2, 4, 7)
    options = {"groups": groups, "data_format": data_format, "padding": "same"}
    compare("Conv1D", x, 8, 3, use_bias=groups != 2, **options)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_strides_with_dilation(padding):
    # Keras refuses it: every second output of stride 1 is what it means, for a length where
    # "same" pads alike.
    x = numbers(2, 9, 3)
    wide, every = (
        isoconv.layers.Conv1D(4, 3, strides=s, dilation_rate=2, padding=padding, dtype="float64")
        for s in (2, 1)
    )
    wide.build(x.shape)
    every.build(x.shape)
    every.set_weights(wide.get_weights())
    np.testing.assert_allclose(wide(x), every(x)[:, ::2], rtol=1e-12)


@pytest.mark.parametrize("x", [numbers(1, 4, 2), numbers(3, 9, 2), numbers(3, 1, 2)])
def test_same_padding_of_any_length_in_one_layer(x):
    ours, theirs = both("Conv1D", 3, 4, strides=3, padding="same")
    share_weights(ours, theirs, (None, None, 2))
    close(ours(x), theirs(x))


def test_masked_steps_are_absent():
    x = numbers(2, 6, 3)
    mask = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]], bool)
    layer = isoconv.layers.Conv1D(4, 3, dtype="float64", padding="same")
    full = np.where(mask[..., None], x, np.nan)
    np.testing.assert_array_equal(layer(full, mask=mask), layer(np.where(mask[..., None], x, 0)))


def test_a_step_is_kept_when_its_window_holds_one_that_is():
    seen = []

    class Look(isoconv.layers.Layer):
        def call(self, inputs, mask=None):
            seen.append(mask)
            return isoconv.ops.where(isoconv.ops.expand_dims(mask, -1), inputs, -1.0)

    class Mask(isoconv.layers.Layer):
        def call(self, inputs):
            return inputs

        def compute_mask(self, inputs, previous_mask=None):
            return isoconv.ops.any(isoconv.ops.not_equal(inputs, 0), axis=-1)

    inputs = isoconv.Input((6, 1))
    outputs = Look()(isoconv.layers.Conv1D(1, 3, kernel_initializer="ones")(Mask()(inputs)))
    x = np.array([[[1.0], [0.0], [0.0], [0.0], [0.0], [2.0]]])
    y = isoconv.Model(inputs, outputs).predict(x)
    np.testing.assert_array_equal(y[0, :, 0], [1, -1, -1, 2])


def test_integers_and_others_become_the_dtype_of_the_layer():
    layer = isoconv.layers.Conv1D(2, 2)
    whole = np.arange(12).reshape(2, 3, 2)
    expected = layer(whole.astype("float32"))
    for dtype in ("uint8", "int16", "int64", "float16", "float64"):
        y = layer(whole.astype(dtype))
        assert y.dtype == "float32"
        np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(layer(np.asfortranarray(whole)), expected)
    np.testing.assert_array_equal(layer(whole.tolist()), expected)


CONSTRUCTION = [
    ({"kernel_size": (3, 3)}, "kernel_size"),
    ({"kernel_size": 0}, "kernel_size"),
    ({"kernel_size": 2.0}, "kernel_size"),
    ({"kernel_size": float("nan")}, "kernel_size"),
    ({"kernel_size": "3"}, "kernel_size"),
    ({"kernel_size": True}, "kernel_size"),
    ({"strides": 0}, "strides"),
    ({"strides": (1, 2)}, "strides"),
    ({"dilation_rate": -1}, "dilation_rate"),
    ({"padding": "sane"}, "padding"),
    ({"padding": None}, "padding"),
    ({"data_format": "channels_middle"}, "data_format"),
    ({"filters": 0}, "filters"),
    ({"filters": 2.5}, "filters"),
    ({"groups": 0}, "groups"),
    ({"groups": 3}, "groups"),
    ({"dtype": "complex64"}, "dtype"),
    ({"trainable": "yes"}, "trainable"),
    ({"activation": "rely"}, "activations"),
    ({"kernel_initializer": "glorot"}, "initializers"),
    ({"colour": "red"}, "colour"),
]


@pytest.mark.parametrize(("arguments", "named"), CONSTRUCTION, ids=str)
def test_bad_arguments(arguments, named):
    with pytest.raises(ArgumentError, match=named) as error:
        isoconv.layers.Conv1D(**{"filters": 4, "kernel_size": 3} | arguments)
    assert "expected" in str(error.value)


def test_causal_is_for_one_axis():
    with pytest.raises(ArgumentError, match=r"Conv2D 'conv2d.*': padding"):
        isoconv.layers.Conv2D(4, 3, padding="causal")


@pytest.mark.parametrize(
    ("shape", "arguments", "named"),
    [
        ((2, 7), {}, "3 dimensions"),
        ((2, 7, 3, 1), {}, "3 dimensions"),
        ((2, 2, 3), {}, "at least 3"),
        ((2, 4, 3), {"dilation_rate": 2}, "at least 5"),
        ((2, 7, 3), {"groups": 2}, "input channels"),
        ((2, 7, None), {}, "known"),
    ],
)
def test_bad_inputs_are_found_before_weights_are_made(shape, arguments, named):
    layer = isoconv.layers.Conv1D(4, 3, name="early", **arguments)
    with pytest.raises(ArgumentError, match=named) as error:
        layer.build(shape)
    assert str(error.value).startswith("Conv1D 'early': ")
    assert not layer.weights
    assert not layer.built
    if None not in shape:
        with pytest.raises(ArgumentError, match="Conv1D 'early'"):
            layer(np.ones(shape))
        with pytest.raises(ArgumentError, match="Conv1D 'early'"):
            layer(isoconv.Input(shape[1:]))


def test_wrong_channels_after_building():
    layer = isoconv.layers.Conv1D(4, 3)
    layer(numbers(2, 7, 3))
    with pytest.raises(ShapeError, match=r"Conv1D 'conv1d.*'.*expected 3, as built; got 2"):
        layer(numbers(2, 7, 2))
    with pytest.raises(ShapeError):
        layer(numbers(2, 2, 3))


def test_new_sizes_compile_nothing(compilations):
    layer = isoconv.layers.Conv1D(4, 3, padding="same")
    layer(numbers(2, 7, 3))
    before = compilations()
    for batch, length in product((1, 3, 5), (1, 8, 17)):
        assert layer(numbers(batch, length, 3)).shape == (batch, length, 4)
    assert compilations() == before

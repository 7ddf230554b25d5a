"""Equal forms of one computation give the same bits, at any place of any batch."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import numbers

import isoconv
from isoconv import layers

# (batch, steps, channels), filters: tails of vectors, panels of many channels, one of each.
SIZES = [
    ((3, 11, 7), 33),
    ((2, 40, 16), 16),
    ((5, 9, 64), 100),
    ((1, 9, 257), 31),
    ((2, 23, 1), 64),
    ((32, 5, 300), 8),
    ((64, 3, 5), 1),
]
WINDOWS = [{}, {"strides": 2, "padding": "same"}, {"dilation_rate": 2, "padding": "causal"}]
each_size = pytest.mark.parametrize(("shape", "filters"), SIZES, ids=str)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def array(shape, dtype, seed=0):
    return numbers(*shape, seed=seed).astype(dtype)


def given(layer, shape, *weights):
    """The layer with these weights, for inputs of this shape."""
    layer.build((None, *shape[1:]))
    layer.set_weights(weights)
    return layer


def same_bits(actual, expected):
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


@each_dtype
@each_size
def test_one_tap_is_dense(shape, filters, dtype):
    x, b = array(shape, dtype), array((filters,), dtype)
    w = array((1, shape[-1], filters), dtype, 1)
    options = {"activation": "tanh", "dtype": dtype}
    y = given(layers.Conv1D(filters, 1, **options), shape, w, b)(x)
    same_bits(given(layers.Dense(filters, **options), shape, w[0], b)(x), y)
    rows = x.reshape(-1, shape[-1])
    flat = given(layers.Dense(filters, **options), rows.shape, w[0], b)
    same_bits(flat(rows).reshape(y.shape), y)


@each_dtype
@each_size
def test_one_axis_is_several_with_units_among_them(shape, filters, dtype):
    x, b = array(shape, dtype), array((filters,), dtype)
    w = array((3, shape[-1], filters), dtype, 1)
    y = given(layers.Conv1D(filters, 3, dtype=dtype), shape, w, b)(x)
    for kind, taps, units in [
        (layers.Conv2D, (3, 1), 2),
        (layers.Conv2D, (1, 3), 1),
        (layers.Conv3D, (1, 3, 1), (1, 3)),
        (layers.Conv2D, (3, shape[-1]), 3),
    ]:
        image = np.expand_dims(x, units)
        kernel = w.reshape(*taps, -1, filters)
        layer = given(kind(filters, taps, dtype=dtype), image.shape, kernel, b)
        same_bits(layer(image).reshape(y.shape), y)


@each_dtype
@each_size
def test_strides_leave_outputs_out(shape, filters, dtype):
    x, b = array(shape, dtype), array((filters,), dtype)
    w = array((2, shape[-1], filters), dtype, 1)
    every, some = (
        given(layers.Conv1D(filters, 2, strides=s, dtype=dtype), shape, w, b)(x) for s in (1, 2)
    )
    same_bits(some, every[:, ::2])


@each_size
def test_a_window_of_all_steps_is_flatten_and_dense(shape, filters):
    _, steps, channels = shape
    x, b = array(shape, "float32"), array((filters,), "float32")
    w = array((steps, channels, filters), "float32", 1)
    y = given(layers.Conv1D(filters, steps), shape, w, b)(x)
    flat = layers.Flatten()(x)
    dense = given(layers.Dense(filters), flat.shape, w.reshape(-1, filters), b)
    same_bits(dense(flat), y[:, 0])


@each_size
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_separable_is_depthwise_then_one_tap(shape, filters, window):
    x, b = array(shape, "float32"), array((filters,), "float32")
    channels = shape[-1]
    deep = array((3, channels, 2), "float32", 1)
    mixing = array((1, 2 * channels, filters), "float32", 2)
    options = {"depth_multiplier": 2, **window}
    apart = given(layers.DepthwiseConv1D(3, use_bias=False, **options), shape, deep)(x)
    grouped = layers.Conv1D(2 * channels, 3, groups=channels, use_bias=False, **window)
    same_bits(given(grouped, shape, deep.reshape(3, 1, -1))(x), apart)
    mixed = given(layers.Conv1D(filters, 1), apart.shape, mixing, b)(apart)
    whole = given(layers.SeparableConv1D(filters, 3, **options), shape, deep, mixing, b)
    same_bits(whole(x), mixed)


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_are_layers_side_by_side(groups):
    x, w, b = array((3, 9, 16), "float32"), array((3, 16 // groups, 36), "float32"), numbers(36)
    y = given(layers.Conv1D(36, 3, groups=groups), x.shape, w, b)(x)
    pieces = [np.split(each, groups, axis=-1) for each in (x, w, b)]
    parts = [
        given(layers.Conv1D(36 // groups, 3), own.shape, kernel, bias)(own)
        for own, kernel, bias in zip(*pieces, strict=True)
    ]
    same_bits(y, np.concatenate(parts, axis=-1))


@pytest.mark.parametrize(("padding", "around"), [("same", (1, 2)), ("causal", (3, 0))])
def test_padding_is_zeros_around(padding, around):
    x, w, b = array((3, 9, 7), "float32"), array((4, 7, 17), "float32"), numbers(17)
    y = given(layers.Conv1D(17, 4, padding=padding), x.shape, w, b)(x)
    same_bits(given(layers.Conv1D(17, 4), x.shape, w, b)(layers.ZeroPadding1D(around)(x)), y)


MAKE = {
    "Conv1D": lambda **kw: layers.Conv1D(33, 3, **kw),
    "causal": lambda **kw: layers.Conv1D(8, 3, strides=2, padding="causal", **kw),
    "groups": lambda **kw: layers.Conv1D(14, 2, groups=7, **kw),
    "Conv1DTranspose": lambda **kw: layers.Conv1DTranspose(9, 3, strides=2, **kw),
    "DepthwiseConv1D": lambda **kw: layers.DepthwiseConv1D(3, padding="same", **kw),
    "SeparableConv1D": lambda **kw: layers.SeparableConv1D(5, 3, **kw),
    "MaxPooling1D": lambda **kw: layers.MaxPooling1D(3, 2, "same", **kw),
    "AveragePooling1D": lambda **kw: layers.AveragePooling1D(3, 2, "same", **kw),
    "GlobalAveragePooling1D": layers.GlobalAveragePooling1D,
}


@pytest.mark.parametrize("name", [name for name in MAKE if not name.startswith("Global")])
def test_channels_second_change_no_bit(name):
    last, first = MAKE[name](), MAKE[name](data_format="channels_first")
    x = array((3, 11, 7), "float32")
    y = last(x)
    turned = np.swapaxes(x, 1, 2)
    first.build(turned.shape)
    first.set_weights(last.get_weights())
    same_bits(np.swapaxes(first(turned), 1, 2), y)


@each_dtype
@pytest.mark.parametrize("kind", ["Max", "Average"])
def test_global_pooling_of_channels_second_changes_no_bit(kind, dtype):
    make = getattr(layers, f"Global{kind}Pooling1D")
    last, first = make(dtype=dtype), make(data_format="channels_first", dtype=dtype)
    for steps in (*range(1, 101), 127, 211, 257, 509, 1031):
        x = array((2, steps, 7), dtype)
        same_bits(first(np.ascontiguousarray(np.swapaxes(x, 1, 2))), last(x))
    make = getattr(layers, f"Global{kind}Pooling2D")
    last, first = make(dtype=dtype), make(data_format="channels_first", dtype=dtype)
    for sides in ((1, 1), (7, 13), (17, 31)):
        x = array((2, *sides, 5), dtype)
        same_bits(first(np.ascontiguousarray(np.moveaxis(x, -1, 1))), last(x))


@each_dtype
@pytest.mark.parametrize("name", [*MAKE, "Dense"])
@pytest.mark.parametrize("channels", [7, 77])
def test_neighbours_in_the_batch_change_no_bit(name, channels, dtype):
    make = MAKE.get(name, lambda **kw: layers.Dense(33, **kw))
    layer, x = make(dtype=dtype), array((13, 11, channels), dtype)
    y = layer(x)
    for part in (slice(0, 1), slice(12, 13), slice(3, 8), slice(1, 13), slice(4, 4)):
        same_bits(layer(x[part]), y[part])
    crowd = np.concatenate([x[5:6], np.full((40, 11, channels), np.nan, dtype)])
    same_bits(layer(crowd)[:1], y[5:6])


def test_other_bits_are_found():
    x, w = array((3, 11, 7), "float32"), array((1, 7, 33), "float32")
    y = given(layers.Conv1D(33, 1, use_bias=False), x.shape, w)(x)
    with pytest.raises(AssertionError):
        same_bits(np.nextafter(y, np.float32(9)), y)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(3, 11, 6), (2, 5, 300, 9), (4, 7, 8, 33)], ids=str)
def test_batch_normalization_of_channels_first_is_that_of_channels_last(shape, training):
    """In training too: outputs, gradients, statistics."""
    x, dy = array(shape, "float32"), array(shape, "float32", 1)
    found = []
    for axis in (-1, 1):
        layer = layers.BatchNormalization(axis)
        given, seed = (np.ascontiguousarray(np.moveaxis(each, -1, axis)) for each in (x, dy))
        y, back = isoconv.vjp(layer, given, training=training)
        dx, dweights = back(seed)
        each = [np.moveaxis(part, axis, -1) for part in (y, dx)]
        found.append([*each, *dweights, *layer.get_weights()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)

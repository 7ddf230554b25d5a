"""What masked steps do to layers on spatial axes: windows are walked through one by one here."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from oracle import numbers

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError, ShapeError

# Steps kept of two samples: gaps, a masked end, and a stretch longer than any window.
MASK = np.array([[1, 1, 0, 1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0, 0, 0, 0]], bool)
WINDOWS = [
    {"strides": strides, "padding": padding}
    for strides, padding in product((1, 2, 4), ("valid", "same", "causal"))
]
POOLED = [options for options in WINDOWS if options["padding"] != "causal"]


def windows(size, strides, padding, dilation=1):
    """The steps that each output sees of 9, absent ones left out."""
    span = (size - 1) * dilation + 1
    if padding == "same":
        count = -(-9 // strides)
        first = -(max((count - 1) * strides + span - 9, 0) // 2)
    else:
        first = 1 - span if padding == "causal" else 0
        count = (9 - first - span) // strides + 1
    starts = [first + i * strides for i in range(count)]
    return [[p for p in range(s, s + span, dilation) if 0 <= p < 9] for s in starts]


def seen(*window):
    return np.array([[keep[steps].any() for steps in windows(*window)] for keep in MASK])


def spoiled(x):
    """NaN at masked steps: who reads one shows it."""
    return np.where(MASK[..., None], x, np.nan)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda **options: layers.Conv1D(4, 3, **options),
        lambda **options: layers.DepthwiseConv1D(3, **options),
        lambda **options: layers.SeparableConv1D(4, 3, **options),
    ],
)
def test_convolutions_take_masked_steps_as_padding(make, window):
    layer = make(dilation_rate=2, bias_initializer="ones", dtype="float64", **window)
    x = numbers(2, 9, 3)
    actual, pullback = isoconv.vjp(lambda x: layer(x, mask=MASK), spoiled(x))
    np.testing.assert_array_equal(actual, layer(np.where(MASK[..., None], x, 0)))
    (by_input,) = pullback(np.ones_like(actual))
    assert not by_input[~MASK].any()
    assert np.isfinite(by_input).all()
    expected = seen(3, window["strides"], window["padding"], 2)
    np.testing.assert_array_equal(layer.compute_mask(x, MASK), expected)


@pytest.mark.parametrize("window", POOLED, ids=str)
@pytest.mark.parametrize(("name", "pool"), [("Max", np.max), ("Average", np.mean)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_pooling_leaves_masked_steps_out(name, pool, window, data_format):
    layer = getattr(layers, f"{name}Pooling1D")(
        3, dtype="float64", data_format=data_format, **window
    )
    x = numbers(2, 9, 3)
    steps = windows(3, window["strides"], window["padding"])
    kept = [[[p for p in each if keep[p]] for each in steps] for keep in MASK]
    expected = np.array(
        [[pool(row[w], axis=0) if w else np.zeros(3) for w in own]
         for row, own in zip(x, kept, strict=True)]
    )  # fmt: skip
    turned = (0, 2, 1) if data_format == "channels_first" else (0, 1, 2)
    given = spoiled(x).transpose(turned)
    actual, pullback = isoconv.vjp(lambda x: layer(x, mask=MASK), given)
    np.testing.assert_allclose(actual.transpose(turned), expected, rtol=1e-14)
    assert not pullback(np.ones_like(actual))[0].transpose(turned)[~MASK].any()
    mask = layer.compute_mask(given, MASK)
    np.testing.assert_array_equal(mask, seen(3, window["strides"], window["padding"]))


@pytest.mark.parametrize(("name", "pool"), [("Max", np.max), ("Average", np.mean)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling_leaves_masked_steps_out(name, pool, keepdims):
    x, planes = numbers(2, 9, 3), numbers(2, 3, 3, 2)
    layer = getattr(layers, f"Global{name}Pooling1D")(keepdims=keepdims, dtype="float64")
    expected = [
        pool(row[keep], axis=0, keepdims=keepdims) for row, keep in zip(x, MASK, strict=True)
    ]
    np.testing.assert_allclose(layer(spoiled(x), mask=MASK), expected, rtol=1e-14)
    layer = getattr(layers, f"Global{name}Pooling2D")(keepdims=keepdims, dtype="float64")
    where = MASK.reshape(2, 3, 3)
    expected = [pool(row[keep], axis=0) for row, keep in zip(planes, where, strict=True)]
    y = layer(np.where(where[..., None], planes, np.nan), mask=where)
    np.testing.assert_allclose(y.reshape(2, 2), expected, rtol=1e-14)


@pytest.mark.parametrize("name", ["GlobalMaxPooling1D", "GlobalAveragePooling1D"])
def test_samples_without_steps_give_zero(name):
    layer = getattr(layers, name)()
    nothing = np.zeros((2, 9), bool)
    y, pullback = isoconv.vjp(lambda x: layer(x, mask=nothing), numbers(2, 9, 3))
    np.testing.assert_array_equal(y, np.zeros((2, 3)))
    np.testing.assert_array_equal(pullback(np.ones((2, 3)))[0], np.zeros((2, 9, 3)))


def test_integers_are_pooled_among_the_kept():
    x = -np.arange(1, 19).reshape(2, 9, 1)
    y = layers.MaxPooling1D(3)(x, mask=MASK)
    np.testing.assert_array_equal(y[..., 0], [[-1, -4, -7], [-11, -13, 0]])
    np.testing.assert_array_equal(layers.GlobalMaxPooling1D()(x, mask=MASK), [[-1], [-11]])


def test_masks_follow_steps_through_a_model():
    x = np.where(MASK[..., None], numbers(2, 9, 3), 0.0).astype("float32")
    inputs = isoconv.Input((None, 3))
    steps = layers.Masking()(inputs)
    steps = layers.Conv1D(4, 3, padding="same", bias_initializer="ones")(steps)
    steps = layers.MaxPooling1D(2)(steps)
    steps = layers.UpSampling1D(2)(steps)
    outputs = layers.Dense(1)(layers.GlobalAveragePooling1D()(layers.Dense(2)(steps)))
    model = isoconv.Model(inputs, outputs)
    expected = model(x)
    # A longer tail of masked steps changes nothing, and every gradient is a number.
    longer = np.concatenate([x, np.zeros((2, 8, 3), "float32")], axis=1)
    actual, pullback = isoconv.vjp(model, longer)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    by_input, by_weights = pullback(np.ones((2, 1)))
    assert all(np.isfinite(each).all() for each in (by_input, *by_weights))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Conv1DTranspose(2, 3),
        lambda: layers.ZeroPadding1D(1),
        lambda: layers.Cropping1D(1),
        lambda: layers.Flatten(),
        lambda: layers.Reshape((-1, 3, 1)),
        lambda: layers.Permute((2, 1)),
        lambda: layers.GlobalMaxPooling1D(),
    ],
)
def test_masks_end_where_steps_are_others(make):
    masked = layers.Masking()(isoconv.Input((9, 3)))
    assert masked.mask is not None
    assert make()(masked).mask is None


def test_transposed_convolutions_take_masked_steps_as_absent():
    layer = layers.Conv1DTranspose(2, 3, strides=2, dtype="float64")
    x = numbers(2, 9, 3)
    np.testing.assert_array_equal(
        layer(spoiled(x), mask=MASK), layer(np.where(MASK[..., None], x, 0))
    )


STEPS = np.ones((2, 9), bool)
UNFITTING = {
    "shape (2, 7)": STEPS[:, :7],
    "shape (1, 9)": STEPS[:1],
    "shape (2, 9, 3, 1)": np.ones((2, 9, 3, 1), bool),
    "type list": [STEPS],
}
TAKING = [
    layers.Conv1D(4, 3),
    layers.Conv1DTranspose(4, 3),
    layers.DepthwiseConv1D(3),
    layers.SeparableConv1D(4, 3),
    layers.MaxPooling1D(2),
    layers.GlobalAveragePooling1D(),
    layers.UpSampling1D(2),
    layers.Dense(4),
    layers.ReLU(),
    layers.BatchNormalization(),
    layers.LayerNormalization(),
    layers.TimeDistributed(layers.Dense(4)),
    layers.Masking(),
]


@pytest.mark.parametrize("given", UNFITTING)
@pytest.mark.parametrize("layer", TAKING, ids=lambda layer: type(layer).__name__)
def test_masks_that_do_not_fit_are_refused_by_name(layer, given):
    with pytest.raises(ArgumentError, match=rf"{layer.name}.*mask: expected.*{re.escape(given)}"):
        layer(numbers(2, 9, 3), mask=UNFITTING[given])


def test_masks_by_hand_fit_their_layers():
    x = numbers(2, 9, 3)
    for layer in TAKING:
        np.testing.assert_array_equal(layer(x, mask=STEPS), layer(x))
    layer = layers.BatchNormalization(axis=1)
    for mask in (np.ones((2, 3), bool), STEPS):
        np.testing.assert_array_equal(layer(x, mask=mask), layer(x))
    with pytest.raises(ShapeError, match=r"\(2, 3\) or shape \(2, 9\); got shape \(2, 5\)"):
        layer(x, mask=STEPS[:, :5])
    with pytest.raises(ShapeError, match="broadcast to the input's"):
        layers.Softmax()(x, mask=STEPS)


@pytest.mark.parametrize(
    "masks", [STEPS, [STEPS], [STEPS, STEPS[:, :5]], [STEPS, [STEPS]]], ids=len
)
def test_merges_and_models_take_one_mask_an_input(masks):
    x = numbers(2, 9, 3)
    a, b = layers.Input((9, 3)), layers.Input((9, 3))
    merge = layers.Add()
    for called in (merge, isoconv.Model([a, b], merge([a, b]))):
        np.testing.assert_array_equal(called([x, x], mask=[STEPS, None]), merge([x, x]))
        with pytest.raises(ArgumentError, match="mask: expected"):
            called([x, x], mask=masks)


def test_a_layer_within_steps_is_given_the_masks_of_its_own_steps():
    x, keep = numbers(2, 4, 9, 3), numbers(2, 4, 9) > 0
    inner = layers.GlobalAveragePooling1D()
    outputs = layers.TimeDistributed(inner)(x, mask=keep)
    np.testing.assert_array_equal(outputs[1, 2], inner(x[1, 2:3], mask=keep[1, 2:3])[0])
    # A mask of the steps alone says nothing to the layer within.
    assert layers.TimeDistributed(inner)(x, mask=STEPS[:, :4]).shape == (2, 4, 3)

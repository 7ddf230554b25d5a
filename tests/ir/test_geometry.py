"""Strides, padding and dilation against Keras: its formulas by hand, and what it computes."""

import itertools

import keras
import numpy as np
import pytest

from isoconv.errors import InternalError
from isoconv.ir import geometry
from isoconv.ir.geometry import Axis
from isoconv.ir.sizes import evaluate, name
from oracles import assert_close, compute, numbers

WINDOWS = list(itertools.product(range(1, 6), range(1, 6), range(1, 4)))  # taps, stride, dilation
LENGTHS = range(1, 25)


def positions(axis, length):
    """The output positions all of whose taps lie in the padded input, counted one by one."""
    inside = range(-axis.low, length + axis.high)
    count = 0
    while all(
        count * axis.stride + k * axis.dilation - axis.low in inside for k in range(axis.taps)
    ):
        count += 1
    return count


@pytest.mark.parametrize("sides", [(0, 0), (2, 1), (-1, 3), (4, -2)])
def test_outputs_are_the_positions_that_fit(sides):
    for (taps, stride, dilation), length in itertools.product(WINDOWS, LENGTHS):
        axis = Axis(taps, stride, dilation, *sides)
        assert max(axis.output(length), 0) == positions(axis, length)


def test_same_is_keras_formula():
    for (taps, stride, dilation), length in itertools.product(WINDOWS, LENGTHS):
        span, out = (taps - 1) * dilation + 1, -(-length // stride)
        total = max((out - 1) * stride + span - length, 0)
        low, high = geometry.same(length, taps, stride, dilation)
        assert (low, high) == (total // 2, total - total // 2)
        assert Axis(taps, stride, dilation, low, high).output(length) == out


def test_an_unknown_length_gives_what_each_length_gives():
    length = name("length")
    for taps, stride, dilation in WINDOWS:
        for mode in ("valid", "same", "causal"):
            pads = geometry.padding(mode, length, taps, stride, dilation)
            output = Axis(taps, stride, dilation, *pads).output(length)
            for number in LENGTHS:
                known = geometry.padding(mode, number, taps, stride, dilation)
                assert tuple(evaluate(pad, {"length": number}) for pad in pads) == known
                expected = Axis(taps, stride, dilation, *known).output(number)
                assert evaluate(output, {"length": number}) == expected


@pytest.mark.parametrize(("taps", "stride"), [(3, 1), (3, 2), (1, 2), (5, 3), (2, 2)])
def test_same_of_an_unknown_length_stays_simple(taps, stride):
    length = name("length")
    axis = Axis(taps, stride, 1, *geometry.same(length, taps, stride, 1))
    assert axis.output(length) == (length + (stride - 1)) // stride


def by_hand(mode, length, taps, stride, dilation, extra):
    """Keras' transposed convolution: output length, and what is cut off left and right."""
    span = (taps - 1) * dilation + 1
    if mode == "valid":
        more = max(span, stride) - span if extra is None else extra
        return (length - 1) * stride + span + more, 0, -more
    if extra is None:
        output, pad = length * stride, stride + span - 2
    else:
        output = (length - 1) * stride + span % 2 + extra
        pad = span + span % 2 - 2 + extra
    left = min(-(-pad // 2), span - 1)
    return output, (span - 1) - left, (span - 1) - (pad - left)


@pytest.mark.parametrize("mode", ["valid", "same"])
@pytest.mark.parametrize("extra", [None, 0, 1, 2])
def test_transposed_is_keras_formula(mode, extra):
    unknown = name("length")
    for taps, stride, dilation in WINDOWS:
        if extra is not None and extra >= stride:
            continue
        general = geometry.transpose(mode, unknown, taps, stride, dilation, extra)
        for length in LENGTHS:
            output, (low, high) = geometry.transpose(mode, length, taps, stride, dilation, extra)
            assert (output, low, high) == by_hand(mode, length, taps, stride, dilation, extra)
            assert Axis(taps, stride, dilation, low, high).output(output) == length
            assert evaluate(general[0], {"length": length}) == output


@pytest.mark.parametrize("mode", ["valid", "same", "causal"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (4, 1), (1, 2)])
def test_convolutions_are_those_of_keras(mode, stride, dilation):
    for taps, length in [(1, 5), (2, 5), (3, 6), (4, 9)]:
        x, w = numbers(2, length, 3), numbers(taps, 3, 2)
        layer = keras.layers.Conv1D(
            2, taps, stride, mode, dilation_rate=dilation, use_bias=False, dtype="float64"
        )
        layer.build(x.shape)
        layer.set_weights([w])
        axis = Axis(taps, stride, dilation, *geometry.padding(mode, length, taps, stride, dilation))
        actual = compute("conv", x, w, face="y", axes=(axis,), groups=1, sizes=(length,))
        assert_close(actual, layer(x), 64)


@pytest.mark.parametrize("mode", ["valid", "same"])
@pytest.mark.parametrize("extra", [None, 0, 1])
def test_transposed_convolutions_are_those_of_keras(mode, extra):
    for taps, stride, dilation in [
        (1, 2, 1),
        (2, 3, 1),
        (3, 2, 1),
        (4, 2, 1),
        (2, 1, 2),
        (5, 1, 1),
    ]:
        if extra is not None and extra >= stride:
            continue
        y, w = numbers(2, 4, 3), numbers(taps, 2, 3)
        expected = keras.ops.conv_transpose(
            y, w, stride, mode, extra, data_format="channels_last", dilation_rate=dilation
        )
        output, sides = geometry.transpose(mode, 4, taps, stride, dilation, extra)
        axis = Axis(taps, stride, dilation, *sides)
        actual = compute("conv", w, y, face="x", axes=(axis,), groups=1, sizes=(output,))
        assert_close(actual, np.asarray(expected), 64)


@pytest.mark.parametrize("fields", [(0,), (1, 0), (1, 1, 0), (-2,)])
def test_a_window_has_taps_and_moves(fields):
    with pytest.raises(InternalError):
        Axis(*fields)

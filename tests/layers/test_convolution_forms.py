"""Convolution layers of every kind and rank against torch, within the rounding of their sums."""

from __future__ import annotations

from itertools import product

import hypothesis
import pytest
from by_torch import by_reference, check
from hypothesis import strategies as st

from isoconv import compiler, gradient, layers
from isoconv.ir import geometry
from isoconv.ir.ops import make

# Tails of vectors and tiles, and primes.
CHANNELS = [
    (7, 33), (8, 32), (9, 31), (15, 17), (16, 16), (17, 15), (31, 9), (32, 8), (33, 7),
    (1, 1), (13, 37), (2, 67),
]  # fmt: skip
WINDOWS = [
    {"strides": strides, "dilation_rate": dilation, "padding": padding}
    for strides, dilation, padding in product((1, 2, 5), (1, 2, 3), ("valid", "same", "causal"))
]
OUTPUTS = [
    {"strides": strides, "dilation_rate": dilation, "padding": padding, "output_padding": more}
    for strides, dilation, padding in product((1, 2, 5), (1, 2), ("valid", "same"))
    for more in (None, 0, 1, 4)
    if more is None or more < strides
]
FIRST = {"data_format": "channels_first"}
UNEQUAL = {"strides": (2, 1), "dilation_rate": (1, 3)}


@pytest.mark.parametrize("channels", CHANNELS, ids=str)
@pytest.mark.parametrize("kind", ["Conv1D", "Conv1DTranspose"])
def test_channels(kind, channels):
    before, after = channels
    check(getattr(layers, kind)(after, 3, padding="same"), (2, 11, before))


@pytest.mark.parametrize("channels", [7, 8, 9, 15, 16, 17, 31, 32, 33, 13])
def test_channels_apart(channels):
    check(layers.DepthwiseConv1D(3, padding="same"), (2, 11, channels))
    check(layers.DepthwiseConv1D(2, depth_multiplier=3), (2, 5, channels))
    check(layers.SeparableConv1D(channels, 3, use_bias=False), (2, 11, 40 - channels))


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows(window):
    check(layers.Conv1D(5, 3, **window), (2, 13, 3))
    check(layers.DepthwiseConv1D(4, depth_multiplier=2, **window), (2, 14, 3))
    check(layers.SeparableConv1D(5, 3, **window), (1, 12, 3))


@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_transposed_outputs(output):
    for taps in (3, 4):
        check(layers.Conv1DTranspose(5, taps, **output), (2, 6, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("Conv2D", {"filters": 6, "kernel_size": (3, 2), "groups": 2, **UNEQUAL}),
        ("Conv2DTranspose", {"filters": 6, "kernel_size": (3, 2), "groups": 2, **UNEQUAL}),
        ("DepthwiseConv2D", {"kernel_size": (2, 3), "depth_multiplier": 2, **UNEQUAL}),
        ("SeparableConv2D", {"filters": 3, "kernel_size": (2, 3), "padding": "same", **UNEQUAL}),
    ],
    ids=str,
)
def test_planes(kind, arguments, data_format, dtype):
    shape = (2, 7, 9, 4) if data_format == "channels_last" else (2, 4, 7, 9)
    check(getattr(layers, kind)(data_format=data_format, dtype=dtype, **arguments), shape)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("Conv3D", {"filters": 3, "kernel_size": (3, 2, 1), "strides": (1, 2, 3)}),
        ("Conv3DTranspose", {"filters": 3, "kernel_size": 2, "strides": (2, 1, 3)}),
        ("DepthwiseConv3D", {"kernel_size": 2, "strides": (2, 1, 1), "depth_multiplier": 2}),
        ("SeparableConv3D", {"filters": 3, "kernel_size": 2, "dilation_rate": (1, 2, 1)}),
    ],
    ids=str,
)
def test_volumes(kind, arguments, data_format):
    shape = (2, 4, 3, 5, 2) if data_format == "channels_last" else (2, 2, 4, 3, 5)
    layer = getattr(layers, kind)(padding="same", data_format=data_format, **arguments)
    check(layer, shape)


@pytest.mark.parametrize("options", [{}, FIRST], ids=str)
@pytest.mark.parametrize(
    ("before", "after", "groups"), [(6, 4, 2), (8, 12, 4), (7, 7, 7), (6, 12, 6), (34, 51, 17)]
)
@pytest.mark.parametrize("kind", ["Conv1D", "Conv1DTranspose"])
def test_groups(kind, before, after, groups, options):
    shape = (2, before, 9) if options else (2, 9, before)
    check(getattr(layers, kind)(after, 3, strides=2, groups=groups, **options), shape)


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Conv1D(3, 5, padding="same"),
        lambda: layers.Conv1D(3, 5, strides=2, dilation_rate=2, padding="causal"),
        lambda: layers.Conv1DTranspose(3, 4, strides=3),
        lambda: layers.DepthwiseConv1D(4, padding="same"),
        lambda: layers.SeparableConv1D(3, 5, strides=2, padding="causal"),
    ],
)
def test_few_samples_and_steps(layer, length, batch):
    check(layer(), (batch, length, 3))


# -- drawn ------------------------------------------------------------------------------------


@st.composite
def drawn(draw):
    """A layer's class, its arguments and an input's shape that fit each other."""
    kind = draw(st.sampled_from(["Conv{}D", "Conv{}DTranspose", "DepthwiseConv{}D"]))
    rank = draw(st.integers(1, 3))
    several = st.tuples(*[st.integers(1, 3)] * rank)
    arguments = {
        "kernel_size": draw(st.tuples(*[st.integers(1, 4)] * rank)),
        "strides": draw(several),
        "dilation_rate": draw(several),
        "padding": draw(st.sampled_from(["valid", "same"])),
        "data_format": draw(st.sampled_from(["channels_last", "channels_first"])),
        "use_bias": draw(st.booleans()),
    }
    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.integers(1, 6))
    if kind.startswith("Depthwise"):
        arguments["depth_multiplier"] = draw(st.integers(1, 3))
    else:
        arguments |= {"filters": groups * draw(st.integers(1, 6)), "groups": groups}
    least = [1] * rank
    if arguments["padding"] == "valid" and not kind.endswith("Transpose"):
        each = zip(arguments["kernel_size"], arguments["dilation_rate"], strict=True)
        least = [(taps - 1) * rate + 1 for taps, rate in each]
    spatial = [low + draw(st.integers(0, 5)) for low in least]
    order = [channels, *spatial] if arguments["data_format"] == "channels_first" else None
    shape = (draw(st.integers(0, 3)), *(order or [*spatial, channels]))
    return getattr(layers, kind.format(rank)), arguments, shape


@hypothesis.settings(max_examples=40)
@hypothesis.given(drawn())
def test_compiled_and_reference_are_torch(case):
    make_layer, arguments, shape = case
    check(make_layer(**arguments), shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "compile", by_reference)
        check(make_layer(**arguments), shape)


# -- planted faults ---------------------------------------------------------------------------


def _odd_position_on_the_left(same):
    return lambda *sizes: same(*sizes)[::-1]


def _causal_looks_ahead(causal):
    return lambda *sizes: causal(*sizes)[::-1]


def _crop_one_later(transpose):
    def planted(*sizes):
        output, (low, high) = transpose(*sizes)
        return output, (low - 1, high + 1)

    return planted


FAULTS = [
    ("same", _odd_position_on_the_left, lambda: layers.Conv1D(3, 4, padding="same")),
    ("same", _odd_position_on_the_left, lambda: layers.DepthwiseConv1D(4, padding="same")),
    ("causal", _causal_looks_ahead, lambda: layers.Conv1D(3, 2, padding="causal")),
    ("transpose", _crop_one_later, lambda: layers.Conv1DTranspose(3, 3, padding="same")),
]


@pytest.mark.parametrize(("function", "plant", "layer"), FAULTS)
def test_a_wrong_padding_side_is_found(monkeypatch, function, plant, layer):
    check(layer(), (2, 7, 3))
    monkeypatch.setattr(geometry, function, plant(getattr(geometry, function)))
    with pytest.raises(AssertionError):
        check(layer(), (2, 7, 3))


@pytest.mark.parametrize("operand", [0, 1])
def test_a_gradient_wrong_by_a_thousandth_is_found(monkeypatch, operand):
    rule = gradient.RULES["conv"]

    def planted(dy, node, index):
        flow = rule(dy, node, index)
        if index != operand:
            return flow
        factor = make("full", value=1.001, shape=(1,) * len(flow.shape), dtype=flow.dtype)
        return make("mul", flow, factor)

    monkeypatch.setitem(gradient.RULES, "conv", planted)
    with pytest.raises(AssertionError):
        check(layers.Conv1D(9, 1), (2, 7, 2))


def _without_last(array):
    """The array with 0 as its last element."""
    copy = array.copy()
    copy.flat[-1:] = 0
    return copy


def test_a_product_left_out_is_found(monkeypatch):
    compile = compiler.compile

    def forgetful(*args):
        run = compile(*args)
        return lambda arrays, *rest: run([_without_last(array) for array in arrays], *rest)

    monkeypatch.setattr(compiler, "compile", forgetful)
    with pytest.raises(AssertionError):
        check(layers.Conv1D(9, 3), (2, 7, 17))

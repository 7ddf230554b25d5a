"""Pooling layers against torch: every number of channels, drawn windows, compiled and reference."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_torch import around, by_reference, check_terms, pulled, widths
from hypothesis import strategies as st

import isoconv
from isoconv import compiler, layers
from isoconv.ir import geometry

MAX = (None, F.max_pool1d, F.max_pool2d, F.max_pool3d)
AVERAGE = (None, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)


def forward_of(layer):
    """What a pooling layer with these attributes should compute, of x."""
    rank = layer.rank
    first = layer.data_format == "channels_first"

    def forward(x):
        x = x if first else x.movedim(-1, 1)
        each = zip(x.shape[2:], layer.pool_size, layer.strides, strict=True)
        pairs = [around(layer.padding, *sizes, 1) for sizes in each]
        if isinstance(layer, layers.pooling.BaseMaxPooling):
            y = MAX[rank](widths(x, pairs, -torch.inf), layer.pool_size, layer.strides)
        else:
            means, shares = (
                AVERAGE[rank](widths(each, pairs), layer.pool_size, layer.strides)
                for each in (x, torch.ones_like(x))
            )
            y = means / shares
        return y if first else y.movedim(1, -1)

    return forward


def check(layer, shape, seed=0):
    """Asserts that a pooling layer on numbers of this shape is torch's, forward and backward."""
    random = np.random.default_rng([seed, *shape])
    x = random.normal(size=shape).astype(layer.dtype)
    actual, pullback = isoconv.vjp(layer, x)
    flow = random.normal(size=actual.shape).astype(layer.dtype)
    forward = forward_of(layer)
    found = [pulled(forward, [x], lambda _, each=each: each) for each in (flow, abs(flow))]
    ((exact, by_input), (_, sums)) = found
    if isinstance(layer, layers.pooling.BaseMaxPooling):
        np.testing.assert_array_equal(actual, exact)
    sizes, _ = pulled(forward, [abs(x)], np.ones)
    counts = np.prod(layer.pool_size)
    check_terms(layer.dtype, actual, exact, sizes, counts)
    check_terms(layer.dtype, pullback(flow)[0], by_input, sums, counts)


@pytest.mark.parametrize("channels", [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 37])
@pytest.mark.parametrize("kind", ["MaxPooling1D", "AveragePooling1D"])
def test_channels(kind, channels):
    check(getattr(layers, kind)(3, 2, "same"), (2, 10, channels))
    check(getattr(layers, kind)(2, 3, data_format="channels_first"), (2, channels, 9))


@st.composite
def drawn(draw):
    """A layer's class, its arguments and an input's shape that fit each other."""
    rank = draw(st.integers(1, 3))
    pool = draw(st.tuples(*[st.integers(1, 4)] * rank))
    arguments = {
        "pool_size": pool,
        "strides": draw(st.none() | st.tuples(*[st.integers(1, 5)] * rank)),
        "padding": draw(st.sampled_from(["valid", "same"])),
        "data_format": draw(st.sampled_from(["channels_last", "channels_first"])),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
    }
    least = pool if arguments["padding"] == "valid" else (1,) * rank
    spatial = [low + draw(st.integers(0, 5)) for low in least]
    channels = draw(st.integers(1, 9))
    first = arguments["data_format"] == "channels_first"
    shape = [channels, *spatial] if first else [*spatial, channels]
    kind = draw(st.sampled_from(["MaxPooling", "AveragePooling"]))
    return getattr(layers, f"{kind}{rank}D"), arguments, (draw(st.integers(1, 3)), *shape)


@hypothesis.settings(max_examples=30)
@hypothesis.given(drawn())
def test_compiled_and_reference_are_torch(case):
    make_layer, arguments, shape = case
    check(make_layer(**arguments), shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "compile", by_reference)
        check(make_layer(**arguments), shape)


@pytest.mark.parametrize("kind", ["MaxPooling1D", "AveragePooling1D"])
def test_an_empty_batch_is_pooled_to_an_empty_batch(kind):
    layer = getattr(layers, kind)(3, 2, "same")
    y, pullback = isoconv.vjp(layer, np.zeros((0, 7, 3)))
    assert y.shape == (0, 4, 3)
    assert pullback(y)[0].shape == (0, 7, 3)


@pytest.mark.parametrize("kind", ["MaxPooling1D", "AveragePooling1D"])
def test_a_wrong_padding_side_is_found(monkeypatch, kind):
    same = geometry.same
    monkeypatch.setattr(geometry, "same", lambda *sizes: same(*sizes)[::-1])
    with pytest.raises(AssertionError):
        check(getattr(layers, kind)(4, 1, "same"), (2, 7, 3))

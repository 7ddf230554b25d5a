"""Rows 9 to 12 and 14: dilation, strides, padding, transposition and the place of the channels."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from isoconv import layers
from isoconv.conversion.chain import (
    Chain,
    Shape,
    again,
    amounts,
    arguments,
    bias,
    common,
    is_last,
    kernel,
    known,
    of_rank,
    ones,
    outputs_of,
    repeated,
)
from isoconv.conversion.rule import LayerRule
from isoconv.ir.geometry import span
from isoconv.layers.base import Layer
from isoconv.layers.convolution import BaseConv
from isoconv.layers.edges import BaseZeroPadding
from isoconv.layers.parts import BatchToSpace, SpaceToBatch, ZeroStuffing
from isoconv.layers.pooling import BaseMaxPooling
from isoconv.layers.separable import BaseDepthwise
from isoconv.layers.spatial import Spatial
from isoconv.layers.transposed import BaseConvTranspose
from isoconv.ops.program import symbolic
from isoconv.ops.recorder import Array
from isoconv.ops.windows import transpose_axes

# -- dilation ---------------------------------------------------------------------------------


def _stuffed(shape: Shape, layer: Any) -> Chain | None:
    if ones(layer.dilation_rate):
        return None
    rates = layer.dilation_rate
    size = [span(k, d) for k, d in zip(layer.kernel_size, rates, strict=True)]

    def weights() -> list[Array]:
        w, *rest = layer.get_weights()
        wide = np.zeros((*size, *w.shape[layer.rank :]), w.dtype)
        wide[tuple(slice(None, None, d) for d in rates)] = w
        return [wide, *rest]

    return Chain(shape, layer.dtype).add(again(layer, kernel_size=size, dilation_rate=1), weights)


def _to_batch(shape: Shape, layer: Any) -> Chain | None:
    outputs = outputs_of(layer, shape)
    undone = ones(layer.dilation_rate) or not ones(layer.strides)
    if outputs is None or undone or layer.padding != "valid" or not is_last(layer):
        return None
    chain = Chain(shape, layer.dtype).add(SpaceToBatch(layer.dilation_rate))
    chain.add(again(layer, dilation_rate=1), layer.get_weights)
    return chain.add(BatchToSpace(layer.dilation_rate, outputs))


def _from_batch(shape: Shape, first: Any, layer: Any, last: Any) -> Chain | None:
    plain = ones(layer.dilation_rate) and ones(layer.strides) and layer.padding == "valid"
    if first.rates != last.rates or not plain or not is_last(layer):
        return None
    dilated = again(layer, dilation_rate=first.rates)
    outputs = outputs_of(dilated, shape)
    if outputs is None or tuple(outputs) != last.sizes:
        return None
    return Chain(shape, layer.dtype).add(dilated, layer.get_weights)


# -- strides ----------------------------------------------------------------------------------


def _every_s_th(shape: Shape, layer: Any) -> Chain | None:
    if ones(layer.strides) or layer.padding == "same":
        return None
    chain = Chain(shape, layer.dtype).add(again(layer, strides=1), layer.get_weights)
    pooling = of_rank("MaxPooling", layer.rank)
    return chain.add(pooling(1, strides=layer.strides, data_format=layer.data_format))


def _strided(shape: Shape, layer: Any, pooling: Any) -> Chain | None:
    fits = ones(layer.strides) and layer.padding != "same" and ones(pooling.pool_size)
    if not fits or pooling.rank != layer.rank or pooling.data_format != layer.data_format:
        return None
    return Chain(shape, layer.dtype).add(again(layer, strides=pooling.strides), layer.get_weights)


def _space_to_depth(shape: Shape, layer: Any) -> Chain | None:
    sizes, steps, rank = known(shape), layer.strides, layer.rank
    plain = layer.padding == "valid" and layer.groups == 1 and ones(layer.dilation_rate)
    outputs = outputs_of(layer, shape)
    if sizes is None or outputs is None or ones(steps) or not plain or not is_last(layer):
        return None
    taps = [-(-k // s) for k, s in zip(layer.kernel_size, steps, strict=True)]
    blocks = [o - 1 + t for o, t in zip(outputs, taps, strict=True)]
    each = list(zip(blocks, steps, sizes[:-1], strict=True))
    chain = Chain(shape, layer.dtype).resize([(0, b * s - n) for b, s, n in each], "channels_last")
    chain.reshape(*(d for b, s, _ in each for d in (b, s)), sizes[-1])
    order = (*range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2))
    if rank > 1:
        chain.add(layers.Permute((*order, 2 * rank + 1)))
    chain.reshape(*blocks, prod(steps) * sizes[-1])
    conv = again(layer, kernel_size=taps, strides=1)
    return chain.add(conv, lambda: (_blocked(kernel(layer), taps, steps), bias(layer)))


def _blocked(w: Any, taps: Any, steps: Any) -> Any:
    """[k..., c, f] as [k / s..., (s..., c), f], zeros added to fill the last block."""
    rank = len(taps)
    more = [(0, t * s - k) for t, s, k in zip(taps, steps, w.shape, strict=False)]
    wide = np.pad(w, [*more, (0, 0), (0, 0)])
    wide = wide.reshape(*(d for pair in zip(taps, steps, strict=True) for d in pair), *w.shape[-2:])
    perm = (*range(0, 2 * rank, 2), *range(1, 2 * rank, 2), 2 * rank, 2 * rank + 1)
    return wide.transpose(perm).reshape(*taps, -1, w.shape[-1])


# -- padding ----------------------------------------------------------------------------------


def _explicit(shape: Shape, layer: Any) -> Chain | None:
    found = amounts(layer, shape) if layer.padding != "valid" else None
    if found is None:
        return None
    chain = Chain(shape, layer.dtype).resize(found, layer.data_format)
    return chain.add(again(layer, padding="valid"), layer.get_weights)


def _implicit(shape: Shape, padding: Any, layer: Any) -> Chain | None:
    fits = padding.rank == layer.rank and padding.data_format == layer.data_format
    if not fits or layer.padding != "valid":
        return None
    for mode in ("same", "causal")[: 2 if layer.rank == 1 else 1]:
        new = again(layer, padding=mode)
        if amounts(new, shape) == list(padding.amounts):
            return Chain(shape, layer.dtype).add(new, layer.get_weights)
    return None


# -- transposed -------------------------------------------------------------------------------


def _transposed_geometry(shape: Shape, layer: Any) -> tuple[list[int], list[int]] | None:
    """Before the first tap and the outputs of each axis; None where a length is not known."""
    lengths = symbolic((None, *layer.spatial_of((None, *shape))))[1:]
    axes, sizes = transpose_axes(
        lengths,
        layer.kernel_size,
        layer.strides,
        layer.padding,
        layer.dilation_rate,
        layer.output_padding,
    )
    lows = [axis.low for axis in axes if isinstance(axis.low, int)]
    outputs = [size for size in sizes if isinstance(size, int)]
    return (lows, outputs) if len(lows) == len(outputs) == len(axes) else None


def turned(w: Any, groups: int) -> Any:
    """[k..., f, g*c] of a transposed convolution as [k..., c, g*f] with taps turned, and back."""
    *taps, inner, outer = w.shape
    apart = np.flip(w, tuple(range(len(taps)))).reshape(*taps, inner, groups, outer // groups)
    return np.swapaxes(apart, -1, -3).reshape(*taps, outer // groups, groups * inner)


def _zeros_between(shape: Shape, layer: Any) -> Chain | None:
    found, sizes = _transposed_geometry(shape, layer), known(shape)
    if found is None or sizes is None or not is_last(layer):
        return None
    pads = []
    each = zip(*found, sizes, layer.strides, layer.kernel_size, layer.dilation_rate, strict=False)
    for low, output, length, stride, taps, rate in each:
        before = span(taps, rate) - 1 - low
        pads.append((before, output + span(taps, rate) - 2 - (length - 1) * stride - before))
    conv = of_rank("Conv", layer.rank)(
        layer.filters,
        layer.kernel_size,
        dilation_rate=layer.dilation_rate,
        groups=layer.groups,
        data_format="channels_last",
        **common(layer),
    )
    chain = Chain(shape, layer.dtype).add(ZeroStuffing(layer.strides)).resize(pads, "channels_last")
    return chain.add(conv, lambda: (turned(kernel(layer), layer.groups), bias(layer)))


def _without_zeros_between(
    shape: Shape, stuffing: ZeroStuffing, padding: Any, layer: Any
) -> Chain | None:
    plain = ones(layer.strides) and layer.padding == "valid" and is_last(layer)
    if not plain or padding.data_format != "channels_last":
        return None
    spans = [span(k, d) for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
    crops = [
        (before - (s - 1), after - (s - 1))
        for (before, after), s in zip(padding.amounts, spans, strict=True)
    ]
    if any(max(pair) > 0 for pair in crops):
        return None
    given = arguments(layer) | {
        "strides": stuffing.strides,
        "output_padding": 0,
        "padding": "valid",
    }
    new = of_rank("Conv", layer.rank, "Transpose")(**given)
    chain = Chain(shape, layer.dtype)
    chain.add(new, lambda: (turned(kernel(layer), layer.groups), bias(layer)))
    return chain.resize(crops, "channels_last")


def _depth_to_space(shape: Shape, layer: Any) -> Chain | None:
    found, sizes = _transposed_geometry(shape, layer), known(shape)
    if found is None or sizes is None or not is_last(layer) or layer.groups > 1:
        return None
    if not ones(layer.dilation_rate):
        return None
    rank, steps, filters = layer.rank, layer.strides, layer.filters
    taps = [-(-k // s) for k, s in zip(layer.kernel_size, steps, strict=True)]
    blocks = [n + t - 1 for n, t in zip(sizes, taps, strict=False)]
    crops = [
        (-low, low + output - b * s)
        for low, output, b, s in zip(*found, blocks, steps, strict=True)
    ]
    if any(max(pair) > 0 for pair in crops):
        return None
    conv = of_rank("Conv", rank)(
        prod(steps) * filters,
        taps,
        use_bias=layer.use_bias,
        dtype=layer.dtype,
        data_format="channels_last",
    )

    def weights() -> tuple[Array | None, ...]:
        # [k..., f, c] in blocks of s taps: [k / s, (s..., f), c].
        w = _blocked(kernel(layer), taps, steps)
        return turned(w, 1), repeated(bias(layer), prod(steps))

    chain = Chain(shape, layer.dtype).resize([(t - 1, t - 1) for t in taps], "channels_last")
    chain.add(conv, weights)
    chain.reshape(*blocks, *steps, filters)
    if rank > 1:
        pairs = [place for i in range(rank) for place in (i + 1, rank + i + 1)]
        chain.add(layers.Permute((*pairs, 2 * rank + 1)))
    chain.reshape(*(b * s for b, s in zip(blocks, steps, strict=True)), filters)
    return chain.resize(crops, "channels_last").activate(layer.activation)


# -- the place of the channels ----------------------------------------------------------------


def _formatted(first: bool) -> Any:
    """To channels first, or last."""
    wanted = "channels_first" if first else "channels_last"

    def build(shape: Shape, layer: Any) -> Chain | None:
        rank = layer.rank
        if layer.data_format == wanted or len(shape) != rank + 1:
            return None
        to_front = layers.Permute((rank + 1, *range(1, rank + 1)))
        to_end = layers.Permute((*range(2, rank + 2), 1))
        weighted = isinstance(layer, BaseConv | BaseDepthwise)
        if weighted:
            new: Layer = again(layer, data_format=wanted, activation=None)
        else:
            config = layer.get_config() | {"data_format": wanted, "name": None}
            new = type(layer).from_config(config)
        chain = (
            Chain(shape, layer.dtype).add(to_front if first else to_end).add(new, layer.get_weights)
        )
        if len(chain.shape) == rank + 1:
            chain.add(to_end if first else to_front)
        return chain.activate(layer.activation) if weighted else chain

    return build


_FAMILIES: tuple[type[Layer], ...] = (BaseConv, BaseDepthwise)

RULES = (
    *(LayerRule("9", "undilated", (kind,), _stuffed) for kind in _FAMILIES),
    *(LayerRule("9b", "space to batch", (kind,), _to_batch) for kind in _FAMILIES),
    *(
        LayerRule("9b", "dilated", (SpaceToBatch, kind, BatchToSpace), _from_batch, backwards=True)
        for kind in _FAMILIES
    ),
    *(LayerRule("10", "unstrided", (kind,), _every_s_th) for kind in _FAMILIES),
    *(
        LayerRule("10", "strided", (kind, BaseMaxPooling), _strided, backwards=True)
        for kind in _FAMILIES
    ),
    LayerRule("10b", "space to depth", (BaseConv,), _space_to_depth),
    *(LayerRule("11", "valid", (kind,), _explicit) for kind in _FAMILIES),
    *(
        LayerRule("11", "same or causal", (BaseZeroPadding, kind), _implicit, backwards=True)
        for kind in _FAMILIES
    ),
    LayerRule("12", "zeros between", (BaseConvTranspose,), _zeros_between),
    LayerRule(
        "12",
        "transposed",
        (ZeroStuffing, BaseZeroPadding, BaseConv),
        _without_zeros_between,
        backwards=True,
    ),
    LayerRule("12b", "depth to space", (BaseConvTranspose,), _depth_to_space),
    *(
        LayerRule("14", word, (kind,), _formatted(first), backwards=first)
        for kind in (Spatial, BaseConvTranspose)
        for first, word in ((True, "channels_first"), (False, "channels_last"))
    ),
)

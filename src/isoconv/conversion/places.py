"""Rows 1 to 5 and 13: another rank, or positions as rows of a Dense."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from isoconv import layers
from isoconv.conversion.chain import (
    Chain,
    Shape,
    Values,
    arguments,
    axes_of,
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
from isoconv.ir.geometry import Axis
from isoconv.layers.convolution import BaseConv
from isoconv.layers.dense import Dense
from isoconv.layers.parts import Patches
from isoconv.layers.reshaping import Flatten
from isoconv.ops.recorder import Array

HIGHEST = 3
"""The highest rank of which there are layers."""

MOST_ELEMENTS = 1 << 24
"""Of a Toeplitz matrix: a larger one is not made."""

MOST_TAPS = 512
"""Of patches, which are gathered tap by tap."""


def _with_axis(values: Any, place: int, value: Any) -> tuple[Any, ...]:
    return (*values[:place], value, *values[place:])


def _without(values: Any, place: int) -> tuple[Any, ...]:
    return (*values[:place], *values[place + 1 :])


def _more_axes(place_last: bool) -> Any:
    def build(shape: Shape, layer: Any) -> Chain | None:
        rank, place = layer.rank, layer.rank if place_last else 0
        if rank == HIGHEST or not is_last(layer) or layer.padding == "causal":
            return None
        if shape.count(None) > 1:
            return None
        new = arguments(layer)
        for name in ("kernel_size", "strides", "dilation_rate"):
            new[name] = _with_axis(new[name], place, 1)
        chain = Chain(shape, layer.dtype).reshape(*_with_axis(shape, place, 1))
        conv = of_rank("Conv", rank + 1)(**new)
        chain.add(conv, lambda: (np.expand_dims(kernel(layer), place), bias(layer)))
        return chain.reshape(*_without(chain.shape, place))

    return build


def _fewer_axes(shape: Shape, layer: Any) -> Chain | None:
    rank = layer.rank
    if rank == 1 or not is_last(layer) or shape.count(None) > 1:
        return None
    places = [
        i
        for i in range(rank)
        if (shape[i], layer.kernel_size[i], layer.strides[i], layer.dilation_rate[i]) == (1,) * 4
    ]
    if not places:
        return None
    place, new = places[0], arguments(layer)
    for name in ("kernel_size", "strides", "dilation_rate"):
        new[name] = _without(new[name], place)
    chain = Chain(shape, layer.dtype).reshape(*_without(shape, place))
    conv = of_rank("Conv", rank - 1)(**new)
    chain.add(conv, lambda: (np.squeeze(kernel(layer), place), bias(layer)))
    return chain.reshape(*_with_axis(chain.shape, place, 1))


def _channels_as_axis(shape: Shape, layer: Any) -> Chain | None:
    rank, channels = layer.rank, shape[-1]
    if rank == HIGHEST or layer.groups > 1 or not is_last(layer) or layer.padding != "valid":
        return None
    if shape.count(None) > 1:
        return None
    new = arguments(layer) | {
        "kernel_size": (*layer.kernel_size, channels),
        "strides": (*layer.strides, 1),
        "dilation_rate": (*layer.dilation_rate, 1),
    }
    chain = Chain(shape, layer.dtype).reshape(*shape, 1)
    conv = of_rank("Conv", rank + 1)(**new)
    chain.add(conv, lambda: (kernel(layer)[..., None, :], bias(layer)))
    return chain.reshape(*chain.shape[:-2], layer.filters)


def _axis_as_channels(shape: Shape, layer: Any) -> Chain | None:
    rank = layer.rank
    whole = layer.kernel_size[-1] == shape[-2] and layer.dilation_rate[-1] == 1
    if rank == 1 or shape[-1] != 1 or not whole or not is_last(layer) or layer.padding != "valid":
        return None
    if shape.count(None) > 1:
        return None
    new = arguments(layer)
    for name in ("kernel_size", "strides", "dilation_rate"):
        new[name] = new[name][:-1]
    chain = Chain(shape, layer.dtype).reshape(*shape[:-1])
    conv = of_rank("Conv", rank - 1)(**new)
    chain.add(conv, lambda: (kernel(layer)[..., 0, :], bias(layer)))
    return chain.reshape(*chain.shape[:-1], 1, layer.filters)


# -- Dense ------------------------------------------------------------------------------------


def _dense(layer: Any) -> Dense:
    return Dense(layer.filters, **common(layer))


def _rows(layer: Any) -> Values:
    """The weights of a Dense whose rows are the kernel's: (taps * channels, filters)."""
    return lambda: (kernel(layer).reshape(-1, layer.filters), bias(layer))


def _conv(layer: Dense, rank: int, kernel_size: Any, **options: Any) -> Any:
    return of_rank("Conv", rank)(
        layer.units, kernel_size, data_format="channels_last", **common(layer), **options
    )


def _pointwise_to_dense(shape: Shape, layer: Any) -> Chain | None:
    if layer.groups > 1 or not is_last(layer) or not ones(layer.kernel_size):
        return None
    chain = Chain(shape, layer.dtype)
    if not ones(layer.strides):
        pooling = of_rank("MaxPooling", layer.rank)
        chain.add(pooling(1, strides=layer.strides, data_format="channels_last"))
    return chain.add(_dense(layer), _rows(layer))


def _dense_to_pointwise(shape: Shape, layer: Dense) -> Chain | None:
    rank = len(shape) - 1
    if not 1 <= rank <= HIGHEST:
        return None
    taps = (1,) * rank
    return Chain(shape, layer.dtype).add(
        _conv(layer, rank, taps),
        lambda: (kernel(layer).reshape(*taps, -1, layer.units), bias(layer)),
    )


def _to_time_distributed(shape: Shape, layer: Any) -> Chain | None:
    if layer.rank > 1 or layer.groups > 1 or not is_last(layer):
        return None
    if not ones(layer.kernel_size) or not ones(layer.strides):
        return None
    return Chain(shape, layer.dtype).add(
        layers.TimeDistributed(_dense(layer), dtype=layer.dtype), _rows(layer)
    )


def _whole_to_dense(shape: Shape, layer: Any) -> Chain | None:
    whole = layer.spatial_of((None, *shape)) == layer.kernel_size
    fits = layer.padding == "valid" and layer.groups == 1 and ones(layer.dilation_rate)
    if not whole or not fits or not is_last(layer):
        return None
    chain = Chain(shape, layer.dtype).add(Flatten(data_format="channels_last"))
    chain.add(_dense(layer), _rows(layer))
    return chain.reshape(*(1,) * layer.rank, layer.filters)


def _dense_to_whole(shape: Shape, flatten: Flatten, layer: Dense) -> Chain | None:
    rank, sizes = len(shape) - 1, known(shape)
    if sizes is None or not 1 <= rank <= HIGHEST or flatten.data_format != "channels_last":
        return None
    conv = _conv(layer, rank, tuple(sizes[:-1]))
    chain = Chain(shape, layer.dtype)
    chain.add(conv, lambda: (kernel(layer).reshape(*sizes, layer.units), bias(layer)))
    return chain.reshape(layer.units)


def _frames(shape: Shape, layer: Any) -> Chain | None:
    """Chain up to the frames (L / k..., k... * C); None where the layer does not take frames."""
    sizes, rank, taps = known(shape), layer.rank, layer.kernel_size
    fits = layer.padding == "valid" and layer.groups == 1 and ones(layer.dilation_rate)
    if sizes is None or not fits or layer.strides != taps or not is_last(layer):
        return None
    counts = [n // k for n, k in zip(sizes[:-1], taps, strict=True)]
    chain = Chain(shape, layer.dtype)
    crops = [(0, c * k - n) for n, k, c in zip(sizes[:-1], taps, counts, strict=True)]
    chain.resize(crops, "channels_last")
    if rank > 1:
        pairs = [each for pair in zip(counts, taps, strict=True) for each in pair]
        chain.reshape(*pairs, sizes[-1])
        chain.add(
            layers.Permute((*range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1))
        )
    return chain.reshape(*counts, prod(taps) * sizes[-1])


def _frames_to_dense(shape: Shape, layer: Any) -> Chain | None:
    chain = _frames(shape, layer)
    return chain and chain.add(_dense(layer), _rows(layer))


def _frames_in_batch(shape: Shape, layer: Any) -> Chain | None:
    chain = _frames(shape, layer) if layer.rank == 1 else None
    if chain is None:
        return None
    frames = chain.shape[0]
    chain.reshape(frames, *layer.kernel_size, shape[-1])
    inner = of_rank("Conv", 1)(**arguments(layer) | {"strides": 1})
    chain.add(layers.TimeDistributed(inner, dtype=layer.dtype), layer.get_weights)
    return chain.reshape(frames, layer.filters)


def _to_patches(shape: Shape, layer: Any) -> Chain | None:
    if layer.groups > 1 or layer.padding != "valid" or not is_last(layer):
        return None
    if prod(layer.kernel_size) > MOST_TAPS:
        return None
    chain = Chain(shape, layer.dtype).add(
        Patches(layer.kernel_size, layer.strides, layer.dilation_rate)
    )
    return chain.add(_dense(layer), _rows(layer))


def _from_patches(frames_only: bool) -> Any:
    def build(shape: Shape, patches: Patches, layer: Dense) -> Chain | None:
        if frames_only != (patches.size == patches.strides and ones(patches.rates)):
            return None
        rank = len(patches.size)
        moves = {"strides": patches.strides, "dilation_rate": patches.rates}
        return Chain(shape, layer.dtype).add(
            _conv(layer, rank, patches.size, **moves),
            lambda: (kernel(layer).reshape(*patches.size, -1, layer.units), bias(layer)),
        )

    return build


def _to_toeplitz(shape: Shape, layer: Any) -> Chain | None:
    sizes, outputs = known(shape), outputs_of(layer, shape)
    if sizes is None or outputs is None or layer.groups > 1 or not is_last(layer):
        return None
    if prod(sizes) * prod(outputs) * layer.filters > MOST_ELEMENTS:
        return None
    count, axes = prod(outputs), axes_of(layer, shape)
    dense = Dense(count * layer.filters, use_bias=layer.use_bias, dtype=layer.dtype)
    chain = Chain(shape, layer.dtype).add(Flatten(data_format="channels_last"))
    chain.add(dense, lambda: (_toeplitz(layer, axes, sizes), repeated(bias(layer), count)))
    return chain.reshape(*outputs, layer.filters).activate(layer.activation)


def _toeplitz(layer: Any, axes: Sequence[Axis], sizes: Sequence[int]) -> Array:
    """The matrix of a convolution between flat inputs and flat outputs."""
    matrix = kernel(layer)
    for axis, length in zip(axes, sizes, strict=False):
        matrix = _spread(matrix, axis, length)
    # [c, f, (i, o) an axis] to [i..., c, o..., f].
    ins, outs = range(2, matrix.ndim, 2), range(3, matrix.ndim, 2)
    return matrix.transpose(*ins, 0, *outs, 1).reshape(prod(sizes), -1)


def _spread(matrix: Array, axis: Any, length: int) -> Array:
    """Of [k, ...] what is [..., i, o]: the weight of tap k where output o meets input i there."""
    k, o = np.indices((axis.taps, axis.output(length))).reshape(2, -1)
    i = o * axis.stride + k * axis.dilation - axis.low
    k, o, i = (each[(i >= 0) & (i < length)] for each in (k, o, i))
    taps = np.moveaxis(matrix, 0, -1)
    found: Array = np.zeros((*taps.shape[:-1], length, axis.output(length)), matrix.dtype)
    found[..., i, o] = taps[..., k]
    return found


RULES = (
    LayerRule("1", "another rank", (BaseConv,), _more_axes(False)),
    LayerRule("1", "another rank, at the end", (BaseConv,), _more_axes(True)),
    LayerRule("1", "a lower rank", (BaseConv,), _fewer_axes, backwards=True),
    LayerRule("2", "channels as an axis", (BaseConv,), _channels_as_axis),
    LayerRule("2", "an axis as channels", (BaseConv,), _axis_as_channels, backwards=True),
    LayerRule("3", "dense", (BaseConv,), _pointwise_to_dense),
    LayerRule("3", "time distributed", (BaseConv,), _to_time_distributed),
    LayerRule("3", "convolution", (Dense,), _dense_to_pointwise, backwards=True),
    LayerRule("4", "dense", (BaseConv,), _whole_to_dense),
    LayerRule("4", "convolution", (Flatten, Dense), _dense_to_whole, backwards=True),
    LayerRule("5", "frames", (BaseConv,), _frames_to_dense),
    LayerRule("5", "frames in the batch", (BaseConv,), _frames_in_batch),
    LayerRule("5", "convolution", (Patches, Dense), _from_patches(True), backwards=True),
    LayerRule("13", "patches", (BaseConv,), _to_patches),
    LayerRule("13", "convolution", (Patches, Dense), _from_patches(False), backwards=True),
    LayerRule("13b", "toeplitz", (BaseConv,), _to_toeplitz),
)

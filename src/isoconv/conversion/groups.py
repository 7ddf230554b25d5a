"""Rows 6 to 8, and 19 from right to left: channels in groups, each by itself, or in two halves."""

from __future__ import annotations

from typing import Any

import numpy as np

from isoconv import layers
from isoconv.conversion.chain import (
    Chain,
    Shape,
    again,
    arguments,
    bias,
    is_linear,
    kernel,
    of_rank,
    ones,
    rounded,
    side_by_side,
)
from isoconv.conversion.rule import LayerRule
from isoconv.layers.convolution import BaseConv
from isoconv.layers.input import Input
from isoconv.layers.parts import Slice
from isoconv.layers.separable import BaseDepthwiseConv, BaseSeparableConv
from isoconv.models.model import Model
from isoconv.ops.recorder import Array
from isoconv.ops.variable import without_initial_values


def _conv(layer: Any, **changes: Any) -> Any:
    """A Conv with the geometry of a depthwise or separable layer."""
    given = arguments(layer)
    del given["depth_multiplier"]
    return of_rank("Conv", layer.rank)(**given | changes)


def _depthwise_to_groups(shape: Shape, layer: Any) -> Chain:
    *taps, channels, each = layer.kernel.shape
    conv = _conv(layer, filters=channels * each, groups=channels)
    return Chain(shape, layer.dtype).add(
        conv, lambda: (kernel(layer).reshape(*taps, 1, channels * each), bias(layer))
    )


def _groups_to_depthwise(shape: Shape, layer: Any) -> Chain | None:
    *taps, inner, _ = layer.kernel.shape
    if inner > 1:
        return None
    given = arguments(layer)
    channels, filters = given.pop("groups"), given.pop("filters")
    deep = of_rank("DepthwiseConv", layer.rank)(depth_multiplier=filters // channels, **given)
    return Chain(shape, layer.dtype).add(
        deep, lambda: (kernel(layer).reshape(*taps, channels, -1), bias(layer))
    )


def block_diagonal(w: Any, groups: int) -> Any:
    """A kernel [k..., c, g*f] of groups as one of all channels, [k..., g*c, g*f], with zeros."""
    *taps, inner, filters = w.shape
    each = filters // groups
    wide = np.zeros((*taps, groups, inner, groups, each), w.dtype)
    for group in range(groups):
        wide[..., group, :, group, :] = w[..., group * each : (group + 1) * each]
    return wide.reshape(*taps, groups * inner, filters)


def _depthwise_to_full(shape: Shape, layer: Any) -> Chain:
    *taps, channels, each = layer.kernel.shape
    conv = _conv(layer, filters=channels * each)

    def weights() -> tuple[Array | None, ...]:
        grouped = kernel(layer).reshape(*taps, 1, channels * each)
        return block_diagonal(grouped, channels), bias(layer)

    return Chain(shape, layer.dtype).add(conv, weights)


def _groups_to_full(shape: Shape, layer: Any) -> Chain | None:
    if layer.groups == 1:
        return None
    return Chain(shape, layer.dtype).add(
        again(layer, groups=1),
        lambda: (block_diagonal(kernel(layer), layer.groups), bias(layer)),
    )


def _side_by_side(shape: Shape, layer: Any, groups: int) -> Chain:
    """A model of one Conv for each part of the filters, on its group's channels, concatenated."""
    axis = layer.channel_axis
    each = layer.filters // groups
    given = Input(shape, dtype=layer.dtype)
    found, channels = [], layer.kernel.shape[-2]
    for part in range(groups):
        x = given
        if layer.groups > 1:
            starts, sizes = [0] * len(shape), [-1] * len(shape)
            starts[axis - 1], sizes[axis - 1] = part * channels, channels
            x = Slice(starts, sizes, dtype=layer.dtype)(x)
        with without_initial_values():
            found.append(again(layer, groups=1, filters=each)(x))
    return Chain(shape, layer.dtype).add(
        Model(given, layers.Concatenate(axis=axis, dtype=layer.dtype)(found)),
        lambda: [
            w[..., part * each : (part + 1) * each]
            for part in range(groups)
            for w in layer.get_weights()
        ],
    )


def _split(shape: Shape, layer: Any) -> Chain | None:
    if layer.groups == 1 or layer.groups > _MOST_BRANCHES:
        return None
    return _side_by_side(shape, layer, layer.groups)


_MOST_BRANCHES = 64


def _halves(shape: Shape, layer: Any) -> Chain | None:
    if layer.groups > 1 or layer.filters % 2:
        return None
    return _side_by_side(shape, layer, 2)


def _unsplit(shape: Shape, model: Model) -> Chain | None:
    steps = model.network.steps if model.network is not None else []
    parts = [call.target for call in steps]
    slices, convs = parts[:-1:2], parts[1:-1:2]
    if not parts or not isinstance(parts[-1], layers.Concatenate) or not convs:
        return None
    if not all(isinstance(each, Slice) for each in slices):
        return None
    first = convs[0]
    if not all(isinstance(each, BaseConv) for each in convs) or first.groups > 1:
        return None
    width = first.kernel.shape[-2]
    axis = first.channel_axis - 1
    places = [(each.starts[axis], each.sizes[axis]) for each in slices]
    alike = all(arguments(each) == arguments(first) for each in convs)
    if not alike or places != [(i * width, width) for i in range(len(convs))]:
        return None
    joint = again(first, groups=len(convs), filters=len(convs) * first.filters)
    return Chain(shape, first.dtype).add(joint, side_by_side(convs))


# -- separable --------------------------------------------------------------------------------


def _halves_of_separable(shape: Shape, layer: Any) -> Chain:
    given = arguments(layer)
    filters = given.pop("filters")
    first = of_rank("DepthwiseConv", layer.rank)(**given | {"activation": None, "use_bias": False})
    second = of_rank("Conv", layer.rank)(
        filters,
        1,
        data_format=layer.data_format,
        activation=layer.activation,
        use_bias=layer.use_bias,
        dtype=layer.dtype,
    )
    chain = Chain(shape, layer.dtype).add(first, lambda: layer.get_weights()[:1])
    return chain.add(second, lambda: layer.get_weights()[1:])


def _separable_of_halves(shape: Shape, first: Any, second: Any) -> Chain | None:
    pointwise = ones(second.kernel_size) and ones(second.strides) and second.groups == 1
    fits = pointwise and second.data_format == first.data_format and second.rank == first.rank
    if not fits or first.use_bias or not is_linear(first.activation):
        return None
    given = arguments(first) | {
        "filters": second.filters,
        "activation": second.activation,
        "use_bias": second.use_bias,
    }
    layer = of_rank("SeparableConv", first.rank)(**given)
    return Chain(shape, first.dtype).add(
        layer, lambda: (kernel(first), kernel(second), bias(second))
    )


def _separable_to_full(shape: Shape, layer: Any) -> Chain | None:
    def weights() -> tuple[Array | None, ...]:
        deep, mixing = (each.astype("float64") for each in layer.get_weights()[:2])
        product = np.einsum("...cm,cmf->...cf", deep, mixing.reshape(*deep.shape[-2:], -1))
        return rounded(product, layer.dtype), bias(layer)

    return Chain(shape, layer.dtype).add(_conv(layer, filters=layer.filters), weights)


RULES = (
    LayerRule("6", "grouped", (BaseDepthwiseConv,), _depthwise_to_groups),
    LayerRule("6", "depthwise", (BaseConv,), _groups_to_depthwise, backwards=True),
    LayerRule("6b", "block diagonal", (BaseDepthwiseConv,), _depthwise_to_full),
    LayerRule("7", "split", (BaseConv,), _split),
    LayerRule("7", "grouped", (Model,), _unsplit, backwards=True),
    LayerRule("7b", "block diagonal", (BaseConv,), _groups_to_full),
    LayerRule("8", "depthwise, pointwise", (BaseSeparableConv,), _halves_of_separable),
    LayerRule(
        "8", "separable", (BaseDepthwiseConv, BaseConv), _separable_of_halves, backwards=True
    ),
    LayerRule("8b", "product", (BaseSeparableConv,), _separable_to_full),
    LayerRule("19", "halves of the filters", (BaseConv,), _halves, backwards=True),
)

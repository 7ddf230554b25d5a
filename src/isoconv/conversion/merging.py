"""Rows 15 to 21: layers in a row, or side by side, as one, with weights computed beforehand.

The weights are the expressions of the rules on graphs (`rewriting`), evaluated in float64 and
rounded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    axes_of,
    bias,
    is_last,
    is_linear,
    kernel,
    known,
    of_rank,
    ones,
    outputs_of,
    rounded,
    side_by_side,
)
from isoconv.conversion.rule import LayerRule
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, Node
from isoconv.ir.ops import make
from isoconv.layers.base import Layer
from isoconv.layers.convolution import BaseConv
from isoconv.layers.dense import Dense
from isoconv.layers.embedding import Embedding
from isoconv.layers.input import Input
from isoconv.layers.normalization import BatchNormalization
from isoconv.layers.parts import Slice
from isoconv.layers.pooling import BaseAveragePooling
from isoconv.layers.separable import BaseDepthwiseConv, BaseSeparableConv
from isoconv.layers.transposed import BaseConvTranspose
from isoconv.models.model import Model
from isoconv.ops.recorder import Array
from isoconv.ops.variable import without_initial_values
from isoconv.reference.run import run
from isoconv.rewriting.branches import joint_axis
from isoconv.rewriting.products import product_axes, product_weights
from isoconv.rewriting.weights import (
    along_channels,
    along_filters,
    constant_response,
    identity,
    placed,
)


def evaluated(expression: Callable[..., Node], *arrays: Array) -> Array:
    """What an expression of nodes is for these arrays, in float64."""
    inputs = [
        make("input", name=f"w{i}", shape=array.shape, dtype="float64")
        for i, array in enumerate(arrays)
    ]
    feeds = {f"w{i}": array.astype("float64") for i, array in enumerate(arrays)}
    result: Array = run(Graph(tuple(inputs), (expression(*inputs),)), feeds)[0]
    return result


def scale_and_shift(layer: Any) -> tuple[Array, Array]:
    """BatchNormalization in inference as x * scale + shift, in float64."""
    mean, variance = (
        each.numpy().astype("float64") for each in (layer.moving_mean, layer.moving_variance)
    )
    scale = 1.0 / np.sqrt(variance + layer.epsilon)
    if layer.gamma is not None:
        scale = scale * layer.gamma.numpy()
    shift = -mean * scale
    return scale, shift if layer.beta is None else shift + layer.beta.numpy()


def _is_on_channels(norm: Any, layer: Any, shape: Shape) -> bool:
    axis = len(shape) if isinstance(layer, Dense) else layer.channel_axis
    return bool(norm.axes_of(len(shape) + 1) == (axis,))


def _with_bias(layer: Any) -> Any:
    if isinstance(layer, Dense):
        return Dense(layer.units, activation=None, dtype=layer.dtype)
    return again(layer, activation=None, use_bias=True)


def _scaled_after(shape: Shape, layer: Any, norm: Any) -> Chain | None:
    after = tuple(layer.compute_output_shape((None, *shape))[1:])
    if not is_linear(layer.activation) or not _is_on_channels(norm, layer, after):
        return None
    return Chain(shape, layer.dtype).add(_with_bias(layer), lambda: _weights_after(layer, norm))


def _weights_after(layer: Any, norm: Any) -> list[Array]:
    scale, shift = scale_and_shift(norm)
    *others, last = layer.get_weights()[: len(layer.get_weights()) - layer.use_bias]
    if isinstance(layer, BaseConvTranspose):
        new = evaluated(
            lambda w, s: make("mul", w, along_channels(s, w, layer.groups)), last, scale
        )
    elif isinstance(layer, BaseDepthwiseConv):
        new = last * scale.reshape(last.shape[-2:])
    else:
        new = evaluated(lambda w, s: make("mul", w, along_filters(s, w)), last, scale)
    old = bias(layer)
    total = shift if old is None else old * scale + shift
    return [*others, rounded(new, layer.dtype), rounded(total, layer.dtype)]


def _scaled_before(shape: Shape, norm: Any, layer: Any) -> Chain | None:
    if not _is_on_channels(norm, layer, shape):
        return None
    if any(map(any, amounts(layer, shape) or [(1, 1)])):
        return None

    def weights() -> list[Array]:
        scale, shift = scale_and_shift(norm)
        w, groups = kernel(layer), layer.groups
        new = evaluated(lambda v, s: make("mul", v, along_channels(s, v, groups)), w, scale)
        more = evaluated(lambda v, t: constant_response(t, v, groups, w.ndim), w, shift).ravel()
        old = bias(layer)
        return [rounded(each, layer.dtype) for each in (new, more if old is None else more + old)]

    return Chain(shape, layer.dtype).add(again(layer, use_bias=True), weights)


def _product(shape: Shape, first: Any, second: Any) -> Chain | None:
    alike = first.rank == second.rank and is_last(first) and is_last(second)
    if not alike or first.groups > 1 or second.groups > 1 or not is_linear(first.activation):
        return None
    middle = tuple(first.compute_output_shape((None, *shape))[1:])
    if any(map(any, amounts(second, middle) or [(1, 1)])):
        return None
    pair = axes_of(first, shape), axes_of(second, middle)
    axes = product_axes(*pair)
    pads = [(axis.low, axis.high) for axis in axes]
    found = [(a, b) for a, b in pads if isinstance(a, int) and isinstance(b, int)]
    if len(found) < len(pads):
        return None

    def weights() -> list[Array]:
        u, v, own, total = kernel(first), kernel(second), bias(first), bias(second)
        w = evaluated(lambda u, v: product_weights(u, v, *pair, axes, 1), u, v)
        if own is not None:
            more = evaluated(lambda t, v: constant_response(t, v, 1, v.rank), own, v).ravel()
            total = more if total is None else more + total
        return [rounded(each, second.dtype) for each in (w, total) if each is not None]

    joint = of_rank("Conv", first.rank)(
        second.filters,
        [axis.taps for axis in axes],
        strides=[axis.stride for axis in axes],
        dilation_rate=[axis.dilation for axis in axes],
        data_format="channels_last",
        activation=second.activation,
        use_bias=first.use_bias or second.use_bias,
        dtype=second.dtype,
    )
    return Chain(shape, second.dtype).resize(found, "channels_last").add(joint, weights)


# -- side by side -----------------------------------------------------------------------------


def branches(model: Any) -> tuple[Layer, list[Any]] | None:
    """The layer that joins the branches of a model, and the layer of each, None for the input
    itself; None for a model that is not of this kind.
    """
    network = model.network
    if network is None or len(network.flat_inputs) != 1 or len(network.flat_outputs) != 1:
        return None
    source, last = network.flat_inputs[0], network.steps[-1]
    if not isinstance(last.target, layers.Add | layers.Concatenate) or not last.args:
        return None
    found: list[Any] = []
    for tensor in last.args[0]:
        if tensor is source:
            found.append(None)
        elif len(tensor.call.args) == 1 and tensor.call.args[0] is source:
            found.append(tensor.call.target)
        else:
            return None
    return last.target, found


def _added(shape: Shape, model: Model) -> Chain | None:
    found = branches(model)
    if found is None or not isinstance(found[0], layers.Add):
        return None
    return merged_sum(shape, found[1])


def merged_sum(shape: Shape, given: Sequence[Any]) -> Chain | None:
    """One Conv for branches that are added: Convs, BatchNormalizations and None for the input."""
    convs = [each for each in given if isinstance(each, BaseConv)]
    if not convs or not all(_is_branch(each, convs[0]) for each in given):
        return None
    first = convs[0]
    windows = [_windows(each, first, shape) for each in given]
    axes, joints = windows[0], []
    for others in windows[1:]:
        found = [joint_axis(*pair) for pair in zip(axes, others, strict=True)]
        fits = [joint for joint in found if joint is not None]
        if len(fits) < len(found):
            return None
        axes = [joint.axis for joint in fits]
        joints.append(fits)

    def weights() -> list[Array]:
        (w, total), *rest = (_branch(each, first, shape) for each in given)
        for fits, (other, shift) in zip(joints, rest, strict=True):
            taps = [joint.axis.taps for joint in fits]
            w = evaluated(lambda u, s=[j.left for j in fits], t=taps: placed(u, s, t), w)
            w = w + evaluated(lambda u, s=[j.right for j in fits], t=taps: placed(u, s, t), other)
            total = total + shift
        return [rounded(w, first.dtype), rounded(total, first.dtype)]

    pads = [(a.low, a.high) for a in axes if isinstance(a.low, int) and isinstance(a.high, int)]
    if len(pads) < len(axes):
        return None
    joint = again(
        first,
        kernel_size=[axis.taps for axis in axes],
        dilation_rate=[axis.dilation for axis in axes],
        padding="valid",
        use_bias=True,
    )
    chain = Chain(shape, first.dtype).resize(pads, "channels_last").add(joint, weights)
    plain = [each for each in given if not isinstance(each, BaseConv)]
    same = tuple(chain.shape) == tuple(shape) or not plain
    return chain if same else None


def _is_branch(layer: Any, first: Any) -> bool:
    if layer is None:
        return True
    if isinstance(layer, BatchNormalization):
        return layer.axis in (-1, first.rank + 1)
    return (
        isinstance(layer, BaseConv)
        and not isinstance(layer, BaseConvTranspose)
        and layer.rank == first.rank
        and is_last(layer)
        and is_linear(layer.activation)
        and (layer.groups, layer.filters, layer.strides)
        == (first.groups, first.filters, first.strides)
    )


def _windows(layer: Any, first: Any, shape: Shape) -> Sequence[Axis]:
    """What a branch reads along each axis."""
    return axes_of(layer, shape) if isinstance(layer, BaseConv) else (Axis(1),) * first.rank


def _branch(layer: Any, first: Any, shape: Shape) -> tuple[Array, Array]:
    """Weights and shift of a branch, in float64."""
    none = np.zeros(first.filters)
    if isinstance(layer, BaseConv):
        own = bias(layer)
        return kernel(layer).astype("float64"), none if own is None else own.astype("float64")
    channels = int(shape[-1] or 0)
    w = evaluated(lambda: identity(channels, first.groups, first.rank, "float64"))
    if layer is None:
        return w, none
    scale, shift = scale_and_shift(layer)
    return w * scale, shift


def _concatenated(shape: Shape, model: Model) -> Chain | None:
    found = branches(model)
    if found is None or not isinstance(found[0], layers.Concatenate):
        return None
    return joined(shape, found[0].axis, found[1])


def joined(shape: Shape, axis: int, given: Sequence[Any]) -> Chain | None:
    """One Conv with the filters of all, for Convs of one geometry concatenated by channels."""
    first = given[0]
    if not all(isinstance(each, BaseConv) for each in given) or first.groups > 1:
        return None
    if axis % (len(shape) + 1) != first.channel_axis:
        return None
    alike = [
        {**arguments(each), "filters": 0} == {**arguments(first), "filters": 0} for each in given
    ]
    if not all(alike) or isinstance(first, BaseConvTranspose):
        return None
    wide = again(first, filters=sum(each.filters for each in given))
    return Chain(shape, first.dtype).add(wide, side_by_side(given))


# -- pooling and look-ups ---------------------------------------------------------------------


def _averaging(shape: Shape, layer: Any) -> Chain | None:
    if layer.padding != "valid":
        return None
    deep = of_rank("DepthwiseConv", layer.rank)(
        layer.pool_size,
        strides=layer.strides,
        use_bias=False,
        data_format=layer.data_format,
        dtype=layer.dtype,
    )
    channels = int(shape[layer.channel_axis - 1] or 0)
    size = layer.pool_size
    return Chain(shape, layer.dtype).add(
        deep, lambda: [rounded(np.full((*size, channels, 1), 1.0 / prod(size)), layer.dtype)]
    )


def _lookups(shape: Shape, table: Any, layer: Any) -> Chain | None:
    sizes = known(shape)
    plain = layer.padding == "valid" and layer.groups == 1 and ones(layer.strides)
    if sizes is None or len(sizes) != 1 or layer.rank > 1 or not plain or table.mask_zero:
        return None
    outputs = outputs_of(layer, (*shape, table.output_dim))
    if outputs is None:
        return None
    given = Input(shape, dtype="int32")
    found = []
    for tap in range(layer.kernel_size[0]):
        part = Embedding(table.input_dim, layer.filters, dtype=layer.dtype)
        moved = Slice([tap * layer.dilation_rate[0]], outputs, dtype="int32", autocast=False)(given)
        with without_initial_values():
            found.append(part(moved))
    total = layers.Add(dtype=layer.dtype)(found) if len(found) > 1 else found[0]
    chain = Chain(shape, layer.dtype).add(Model(given, total), lambda: _tables(table, layer))
    return chain.activate(layer.activation)


def _tables(table: Any, layer: Any) -> list[Array]:
    """What each word adds at each tap; the bias is in the first."""
    rows = table.embeddings.numpy().astype("float64")
    found = [rows @ w.astype("float64") for w in kernel(layer)]
    if layer.use_bias:
        found[0] += layer.bias.numpy()
    return [rounded(each, layer.dtype) for each in found]


_SCALED: tuple[type[Layer], ...] = (
    BaseConv,
    BaseConvTranspose,
    BaseDepthwiseConv,
    BaseSeparableConv,
    Dense,
)

RULES = (
    *(LayerRule("15", "merged", (kind, BatchNormalization), _scaled_after) for kind in _SCALED),
    LayerRule("16", "merged", (BatchNormalization, BaseConv), _scaled_before),
    LayerRule("17", "merged", (BaseConv, BaseConv), _product),
    LayerRule("18", "merged", (Model,), _added),
    LayerRule("19", "merged", (Model,), _concatenated),
    LayerRule("20", "depthwise", (BaseAveragePooling,), _averaging),
    LayerRule("21", "look-ups", (Embedding, BaseConv), _lookups),
)

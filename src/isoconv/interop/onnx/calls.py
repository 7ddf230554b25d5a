"""Calls of layers and operations that ONNX has one node for: what they mean as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from isoconv.interop.onnx.primitives import channels_second, reduced, together, window
from isoconv.interop.onnx.sheet import Value, straight
from isoconv.ir.graph import Node
from isoconv.layers import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    PReLU,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
)
from isoconv.layers.base import Layer
from isoconv.ops import nn
from isoconv.ops.recorder import Noted, Recorder
from isoconv.ops.shapes import positive_axes
from isoconv.ops.tensor import Tensor
from isoconv.ops.windows import is_channels_first, per_axis, spatial_axes

if TYPE_CHECKING:
    from isoconv.interop.onnx.tracing import Writer


@dataclass(frozen=True)
class Whole:
    """How the result of a call is written from `operands`."""

    operands: list[Node]
    write: Callable[[Writer], Value]


@dataclass(frozen=True)
class Seen:
    """A noted call: its first operand, the result, the other arguments by name, and the trace."""

    x: Node
    result: Node
    options: dict[str, Any]
    target: Any
    recorder: Recorder

    @property
    def origin(self) -> str:
        return self.result.origin

    def weight(self, variable: Any) -> Node:
        return self.recorder.variable(variable)


Reader = Callable[[Seen], Whole | None]
_BY_NAME: dict[str, Reader] = {}
_BY_CLASS: dict[type, Reader] = {}


def whole_calls(recorder: Recorder) -> dict[Node, Whole]:
    """The calls written as a whole, by what they give; outer ones before inner ones."""
    found: dict[Node, Whole] = {}
    for call in recorder.calls:
        seen = _seen(call, recorder)
        if seen is None or seen.x is seen.result:
            continue
        read = (
            _BY_CLASS.get(type(call.target))
            if isinstance(call.target, Layer)
            else _BY_NAME.get(call.target.__name__)
        )
        whole = read(seen) if read else None
        if whole is not None:
            found[seen.result] = whole
    return found


def _seen(call: Noted, recorder: Recorder) -> Seen | None:
    """A call on one tensor that gives one; None for others."""
    if not isinstance(call.result, Tensor):
        return None
    function = call.target.call if isinstance(call.target, Layer) else call.target
    named = signature(function).bind_partial(*call.args, **call.kwargs)
    named.apply_defaults()
    options = dict(named.arguments)
    first = options.pop(next(iter(options), ""), None)
    if not isinstance(first, Tensor):
        return None
    return Seen(first.node, call.result.node, options, call.target, recorder)


# -- functions of elements --------------------------------------------------------------------


def _element(op: str, **names: str) -> Reader:
    """A function of single elements; names: of its options, by those of the attributes."""

    def read(seen: Seen) -> Whole | None:
        said = {attribute: seen.options[name] for attribute, name in names.items()}
        if any(not isinstance(value, int | float) for value in said.values()):
            return None
        said = {attribute: float(value) for attribute, value in said.items()}
        return Whole([seen.x], lambda w: together(w, [seen.x], op, seen.origin, **said))

    return read


_BY_NAME |= {
    "sigmoid": _element("Sigmoid"),
    "softplus": _element("Softplus"),
    "softsign": _element("Softsign"),
    "elu": _element("Elu", alpha="alpha"),
    "celu": _element("Celu", alpha="alpha"),
    "leaky_relu": _element("LeakyRelu", alpha="negative_slope"),
    "hard_silu": _element("HardSwish"),
    "silu": _element("Swish"),
    "ceil": _element("Ceil"),
    "round": _element("Round"),
    "reciprocal": _element("Reciprocal"),
}


def _fixed(op: str, **attributes: Any) -> Reader:
    """A function of single elements with attributes of its own."""
    return lambda seen: Whole(
        [seen.x], lambda w: together(w, [seen.x], op, seen.origin, **attributes)
    )


_BY_NAME["selu"] = _fixed("Selu", alpha=nn.SELU_ALPHA, gamma=nn.SELU_SCALE)
_BY_NAME["hard_sigmoid"] = _fixed("HardSigmoid", alpha=1 / 6, beta=0.5)


def _gelu(seen: Seen) -> Whole | None:
    approximate = "tanh" if seen.options["approximate"] else "none"
    return _fixed("Gelu", approximate=approximate)(seen)


def _clip(seen: Seen) -> Whole | None:
    bounds = [seen.options["x_min"], seen.options["x_max"]]
    numbers = all(isinstance(each, int | float) for each in bounds)
    if not numbers or seen.x.dtype != seen.result.dtype:
        return None

    def write(writer: Writer) -> Value:
        value, dtype = writer.value(seen.x), seen.x.dtype
        names = [writer.sheet.number(each, dtype) for each in bounds]
        return Value(writer.sheet.node("Clip", [value.name, *names], seen.origin), value.perm)

    return Whole([seen.x], write)


def _softmax(op: str) -> Reader:
    def read(seen: Seen) -> Whole | None:
        axis = seen.options["axis"]
        if not isinstance(axis, int) or not seen.x.dtype.startswith("float"):
            return None
        place = axis % seen.x.rank

        def write(writer: Writer) -> Value:
            value = writer.value(seen.x)
            axis = value.perm[place]
            return Value(writer.sheet.node(op, [value.name], seen.origin, axis=axis), value.perm)

        return Whole([seen.x], write)

    return read


_BY_NAME |= {
    "gelu": _gelu,
    "clip": _clip,
    "softmax": _softmax("Softmax"),
    "log_softmax": _softmax("LogSoftmax"),
}


# -- reductions -------------------------------------------------------------------------------


def _reduction(op: str) -> Reader:
    def read(seen: Seen) -> Whole | None:
        axis = seen.options["axis"]
        axes = positive_axes(axis, seen.x.rank, op)
        if not axes or seen.x.dtype != seen.result.dtype:
            return None

        def write(writer: Writer) -> Value:
            kept = reduced(writer, seen.x, axes, op, seen.origin)
            if seen.options["keepdims"]:
                return kept
            # The node just written drops the axes as well.
            writer.sheet.nodes[-1].attribute[0].i = 0
            left = [kept.perm[i] for i in range(seen.x.rank) if i not in axes]
            order = sorted(left)
            return Value(kept.name, tuple(order.index(place) for place in left))

        return Whole([seen.x], write)

    return read


_BY_NAME |= {
    "sum": _reduction("ReduceSum"),
    "mean": _reduction("ReduceMean"),
    "max": _reduction("ReduceMax"),
    "min": _reduction("ReduceMin"),
    "logsumexp": _reduction("ReduceLogSumExp"),
}


# -- windows and products ---------------------------------------------------------------------


def _average_pool(seen: Seen) -> Whole | None:
    options, x = seen.options, seen.x
    perm = channels_second(x.rank)
    first = is_channels_first(options["data_format"])
    dims = tuple(x.shape[axis] for axis in (perm if first else straight(x.rank)))
    pool = per_axis(options["pool_size"], x.rank - 2, "pool_size")
    strides = pool if options["strides"] is None else options["strides"]
    axes = spatial_axes(dims[1:-1], pool, strides, options["padding"], options["dilation_rate"])
    said, complete = window(axes, dims[1:-1])
    pads = said.get("pads", [])
    taps = [axis.taps for axis in axes] * 2
    if not complete or any(pad >= tap for pad, tap in zip(pads, taps, strict=False)):
        return None
    if x.dtype != seen.result.dtype:
        return None

    def write(writer: Writer) -> Value:
        wanted = straight(x.rank) if first else perm
        name = writer.sheet.in_order(writer.value(x), wanted, seen.origin)
        found = writer.sheet.node("AveragePool", [name], seen.origin, count_include_pad=0, **said)
        return Value(found, wanted)

    return Whole([x], write)


def _matmul(seen: Seen) -> Whole | None:
    other = seen.options["x2"]
    if not isinstance(other, Tensor) or seen.x.rank < 2 or other.ndim < 3:
        return None
    nodes = [seen.x, other.node]
    if any(node.dtype != seen.result.dtype for node in nodes):
        return None

    def write(writer: Writer) -> Value:
        names = [
            writer.sheet.plain(writer.value(node), seen.origin, writer.label(node))
            for node in nodes
        ]
        return Value(writer.sheet.node("MatMul", names, seen.origin), straight(seen.result.rank))

    return Whole(nodes, write)


_BY_NAME |= {"average_pool": _average_pool, "matmul": _matmul}


# -- layers -----------------------------------------------------------------------------------


def _vector(writer: Writer, node: Node | None, size: int, default: float, dtype: str) -> str:
    """A weight of one number a channel; the same number for all where there is none."""
    if node is None:
        return writer.sheet.constant(np.full(size, default, dtype), f"{default:g}")
    name = writer.sheet.plain(writer.value(node), "", writer.label(node))
    writer.weight(node, name, straight(node.rank))
    return name


def _scales(seen: Seen) -> list[Node | None]:
    layer = seen.target
    return [None if v is None else seen.weight(v) for v in (layer.gamma, layer.beta)]


def _batch_normalization(seen: Seen) -> Whole | None:
    layer, x = seen.target, seen.x
    axis = layer.axis % x.rank
    if x.rank < 2 or axis == 0 or x.dtype != seen.result.dtype:
        return None
    moving = [seen.weight(v) for v in (layer.moving_mean, layer.moving_variance)]
    nodes = [*_scales(seen), *moving]
    perm = channels_second(x.rank)
    wanted = straight(x.rank) if axis == 1 else perm
    if axis not in (1, x.rank - 1):
        return None

    def write(writer: Writer) -> Value:
        size = layer.moving_mean.shape[0]
        name = writer.sheet.in_order(writer.value(x), wanted, seen.origin)
        each = zip(nodes, (1.0, 0.0, 0.0, 1.0), strict=True)
        vectors = [_vector(writer, node, size, default, x.dtype) for node, default in each]
        found = writer.sheet.node(
            "BatchNormalization", [name, *vectors], seen.origin, epsilon=float(layer.epsilon)
        )
        return Value(found, wanted)

    return Whole([x, *(node for node in nodes if node is not None)], write)


def _layer_normalization(seen: Seen) -> Whole | None:
    layer, x = seen.target, seen.x
    axes = layer.axes_of(x.rank)
    trailing = axes == tuple(range(x.rank - len(axes), x.rank))
    if not trailing or layer.rms_scaling or layer.gamma is None:
        return None
    nodes = [node for node in _scales(seen) if node is not None]

    def write(writer: Writer) -> Value:
        name = writer.sheet.plain(writer.value(x), seen.origin)
        vectors = [_vector(writer, node, 0, 0.0, x.dtype) for node in nodes]
        said = {"axis": -len(axes), "epsilon": float(layer.epsilon)}
        found = writer.sheet.node("LayerNormalization", [name, *vectors], seen.origin, **said)
        return Value(found, straight(x.rank))

    return Whole([x, *nodes], write)


def _group_normalization(seen: Seen) -> Whole | None:
    layer, x = seen.target, seen.x
    axis = layer.axis % x.rank
    channels = x.shape[axis]
    if axis not in (1, x.rank - 1) or not isinstance(channels, int) or x.rank < 3:
        return None
    nodes = _scales(seen)
    wanted = straight(x.rank) if axis == 1 else channels_second(x.rank)

    def write(writer: Writer) -> Value:
        name = writer.sheet.in_order(writer.value(x), wanted, seen.origin)
        each = zip(nodes, (1.0, 0.0), strict=True)
        vectors = [_vector(writer, node, channels, default, x.dtype) for node, default in each]
        groups = channels if layer.groups == -1 else layer.groups
        said = {"num_groups": groups, "epsilon": float(layer.epsilon)}
        found = writer.sheet.node("GroupNormalization", [name, *vectors], seen.origin, **said)
        return Value(found, wanted)

    return Whole([x, *(node for node in nodes if node is not None)], write)


def _prelu(seen: Seen) -> Whole | None:
    alpha = seen.weight(seen.target.alpha)

    def write(writer: Writer) -> Value:
        value = writer.value(seen.x)
        slopes = np.asarray(seen.target.alpha.array)[None]
        name = writer.sheet.constant(slopes.transpose(np.argsort(value.perm)), writer.label(alpha))
        return Value(writer.sheet.node("PRelu", [value.name, name], seen.origin), value.perm)

    return Whole([seen.x, alpha], write)


def _upsampling(seen: Seen) -> Whole | None:
    layer, x = seen.target, seen.x
    if getattr(layer, "interpolation", "nearest") != "nearest":
        return None
    times = dict(zip(layer.spatial_axes, layer.size, strict=True))

    def write(writer: Writer) -> Value:
        value = writer.value(x)
        logical = [float(times.get(axis, 1)) for axis in range(x.rank)]
        scales = np.asarray([logical[axis] for axis in np.argsort(value.perm)], "float32")
        said = {"mode": "nearest", "nearest_mode": "floor"}
        said["coordinate_transformation_mode"] = "asymmetric"
        names = [value.name, "", writer.sheet.constant(scales, "scales")]
        return Value(writer.sheet.node("Resize", names, seen.origin, **said), value.perm)

    return Whole([x], write)


_BY_CLASS |= {
    BatchNormalization: _batch_normalization,
    LayerNormalization: _layer_normalization,
    GroupNormalization: _group_normalization,
    PReLU: _prelu,
    UpSampling1D: _upsampling,
    UpSampling2D: _upsampling,
    UpSampling3D: _upsampling,
}

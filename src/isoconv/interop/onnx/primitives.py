"""Writing the operations of programs as ONNX: one node each, or a few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isoconv.errors import ArgumentError, explain
from isoconv.interop.onnx.package import element_types
from isoconv.interop.onnx.sheet import Value, compose, inverse, straight
from isoconv.ir import geometry
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim, Shape, Size

if TYPE_CHECKING:
    from isoconv.interop.onnx.tracing import Writer

# As an end of a slice: all there is.
_FAR = 2**63 - 1

Emit = Callable[["Writer", Node], Value]
EMIT: dict[str, Emit] = {}
"""How each operation of the programs is written."""


def _emits(*ops: str) -> Callable[[Emit], Emit]:
    def register(function: Emit) -> Emit:
        EMIT.update(dict.fromkeys(ops, function))
        return function

    return register


# -- elementwise ------------------------------------------------------------------------------

_ELEMENTWISE = {
    "neg": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "relu": "Relu",
    "sqrt": "Sqrt",
    "exp": "Exp",
    "log": "Log",
    "tanh": "Tanh",
    "erf": "Erf",
    "sin": "Sin",
    "cos": "Cos",
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "max": "Max",
    "min": "Min",
    "div": "Div",
    "pow": "Pow",
    "lt": "Less",
    "le": "LessOrEqual",
    "eq": "Equal",
    "and": "And",
    "or": "Or",
    "not": "Not",
    "where": "Where",
}


def together(
    writer: Writer, nodes: Sequence[Node], op: str, origin: str, **attributes: Any
) -> Value:
    """An elementwise node on operands of one rank, in the layout that most of them have."""
    values = [writer.value(node) for node in nodes]
    perms = [value.perm for value in values if value.array is None]
    perm = max(perms, key=perms.count, default=straight(nodes[0].rank))
    names = [
        writer.scalar(node) or writer.sheet.in_order(value, perm, origin, writer.label(node))
        for node, value in zip(nodes, values, strict=True)
    ]
    return Value(writer.sheet.node(op, names, origin, **attributes), perm)


@_emits(*_ELEMENTWISE)
def elementwise(writer: Writer, node: Node) -> Value:
    if node.op == "add":
        found = writer.with_bias(node)
        if found is not None:
            return found
    return together(writer, node.inputs, _ELEMENTWISE[node.op], node.origin)


@_emits("rem")
def remainder(writer: Writer, node: Node) -> Value:
    return together(writer, node.inputs, "Mod", node.origin, fmod=1)


@_emits("expm1", "log1p")
def near_zero(writer: Writer, node: Node) -> Value:
    value, sheet = writer.value(node.inputs[0]), writer.sheet
    one = sheet.number(1, node.dtype)
    if node.op == "expm1":
        raised = sheet.node("Exp", [value.name], node.origin)
        return Value(sheet.node("Sub", [raised, one], node.origin), value.perm)
    more = sheet.node("Add", [value.name, one], node.origin)
    return Value(sheet.node("Log", [more], node.origin), value.perm)


@_emits("cast")
def cast(writer: Writer, node: Node) -> Value:
    value = writer.value(node.inputs[0])
    kind = element_types()[node["dtype"]]
    return Value(writer.sheet.node("Cast", [value.name], node.origin, to=kind), value.perm)


# -- leaves -----------------------------------------------------------------------------------


@_emits("full")
def full(writer: Writer, node: Node) -> Value:
    number = writer.sheet.number(node["value"], node.dtype)
    return _expanded(writer, number, node)


def _expanded(writer: Writer, name: str, node: Node) -> Value:
    shape = writer.sheet.shape(node.shape, node.origin)
    return Value(writer.sheet.node("Expand", [name, shape], node.origin), straight(node.rank))


@_emits("iota")
def iota(writer: Writer, node: Node) -> Value:
    sheet, length = writer.sheet, node.shape[node["axis"]]
    size = sheet.node("Squeeze", [sheet.shape((length,), node.origin)], node.origin)
    ends = [sheet.number(0, "int64"), size, sheet.number(1, "int64")]
    numbers = sheet.node("Range", ends, node.origin)
    kind = element_types()[node.dtype]
    numbers = sheet.node("Cast", [numbers], node.origin, to=kind)
    shape = tuple(dim if i == node["axis"] else 1 for i, dim in enumerate(node.shape))
    wide = sheet.node("Reshape", [numbers, sheet.reshape_to((), shape, node.origin)], node.origin)
    return _expanded(writer, wide, node)


@_emits("size")
def size(writer: Writer, node: Node) -> Value:
    sheet = writer.sheet
    found = sheet.node("Squeeze", [sheet.shape((node["dim"],), node.origin)], node.origin)
    kind = element_types()[node.dtype]
    return Value(sheet.node("Cast", [found], node.origin, to=kind), ())


# -- views ------------------------------------------------------------------------------------


@_emits("reshape")
def reshape(writer: Writer, node: Node) -> Value:
    (x,) = node.inputs
    sheet = writer.sheet
    shape = sheet.reshape_to(x.shape, node.shape, node.origin)
    name = sheet.plain(writer.value(x), node.origin, writer.label(x))
    return Value(sheet.node("Reshape", [name, shape], node.origin), straight(node.rank))


@_emits("transpose")
def transpose(writer: Writer, node: Node) -> Value:
    value = writer.value(node.inputs[0])
    return Value(value.name, compose(value.perm, node["perm"]))


@_emits("broadcast")
def broadcast(writer: Writer, node: Node) -> Value:
    (x,) = node.inputs
    return _expanded(
        writer, writer.sheet.plain(writer.value(x), node.origin, writer.label(x)), node
    )


@_emits("pad")
def pad(writer: Writer, node: Node) -> Value:
    if any(node["interior"]):
        raise unwritten(node, "elements put between others")
    value = writer.value(node.inputs[0])
    sides = list(zip(node["low"], node["high"], strict=True))
    return padded(writer, value, sides, node["value"], node)


def padded(
    writer: Writer, value: Value, sides: Sequence[tuple[Dim, Dim]], number: Any, node: Node
) -> Value:
    """A value with a number around it; negative amounts crop. sides: of each axis, in order."""
    physical = inverse(value.perm)
    lows, highs = zip(*(sides[axis] for axis in physical), strict=True)
    amounts = writer.sheet.shape((*lows, *highs), node.origin)
    filler = writer.sheet.number(number, node.dtype)
    name = writer.sheet.node("Pad", [value.name, amounts, filler], node.origin)
    return Value(name, value.perm)


@_emits("slice")
def slices(writer: Writer, node: Node) -> Value:
    value, sheet = writer.value(node.inputs[0]), writer.sheet
    whole = zip(node["start"], node["shape"], node["step"], strict=True)
    parts = []
    for axis, (start, size, step) in enumerate(whole):
        if not (start == 0 and step == 1 and size == node.inputs[0].shape[axis]):
            length = node.inputs[0].shape[axis]
            end = _from_end(start + (size - 1) * step + 1, length)
            start = 0 if start == 0 else _from_end(start, length)
            parts.append((start, end, inverse(inverse(value.perm))[axis], step))
    if not parts:
        return value
    starts, ends, axes, steps = zip(*parts, strict=True)
    operands = [value.name, *(sheet.shape(each, node.origin) for each in (starts, ends))]
    operands += [sheet.shape(each, node.origin) for each in (axes, steps)]
    return Value(sheet.node("Slice", operands, node.origin), value.perm)


def _from_end(place: Dim, length: Dim) -> Dim:
    """The place, counted from the end where it is a number of positions before it."""
    beyond = place - length
    if isinstance(place, Size) and isinstance(beyond, int) and beyond <= 0:
        return beyond or _FAR
    return place


@_emits("reverse")
def reverse(writer: Writer, node: Node) -> Value:
    value, sheet = writer.value(node.inputs[0]), writer.sheet
    axes = tuple(value.perm[axis] for axis in node["axes"])
    count = len(axes)
    far = (-_FAR,) * count
    parts = ((-1,) * count, far, axes, (-1,) * count)
    operands = [value.name, *(sheet.shape(each, node.origin) for each in parts)]
    return Value(sheet.node("Slice", operands, node.origin), value.perm)


@_emits("concat")
def concat(writer: Writer, node: Node) -> Value:
    values = [writer.value(each) for each in node.inputs]
    perms = [value.perm for value in values if value.array is None]
    perm = max(perms, key=perms.count)
    names = [
        writer.sheet.in_order(value, perm, node.origin, writer.label(each))
        for value, each in zip(values, node.inputs, strict=True)
    ]
    place = perm[node["axis"]]
    return Value(writer.sheet.node("Concat", names, node.origin, axis=place), perm)


# -- reductions and indexing ------------------------------------------------------------------


def reduced(writer: Writer, x: Node, axes: Sequence[int], op: str, origin: str) -> Value:
    """A reduction that keeps its axes."""
    value = writer.value(x)
    places = writer.sheet.shape(tuple(sorted(value.perm[axis] for axis in axes)), origin)
    return Value(writer.sheet.node(op, [value.name, places], origin, keepdims=1), value.perm)


@_emits("reduce_sum", "reduce_max")
def reduce(writer: Writer, node: Node) -> Value:
    op = "ReduceSum" if node.op == "reduce_sum" else "ReduceMax"
    return reduced(writer, node.inputs[0], node["axes"], op, node.origin)


@_emits("argmax")
def argmax(writer: Writer, node: Node) -> Value:
    value, sheet = writer.value(node.inputs[0]), writer.sheet
    place = value.perm[node["axis"]]
    found = sheet.node("ArgMax", [value.name], node.origin, axis=place, keepdims=1)
    kind = element_types()[node.dtype]
    return Value(sheet.node("Cast", [found], node.origin, to=kind), value.perm)


@_emits("gather")
def gather(writer: Writer, node: Node) -> Value:
    names = [
        writer.sheet.plain(writer.value(each), node.origin, writer.label(each))
        for each in node.inputs
    ]
    writer.weight(node.inputs[0], names[0], straight(node.inputs[0].rank))
    found = writer.sheet.node("Gather", names, node.origin, axis=0)
    return Value(found, straight(node.rank))


# -- windows ----------------------------------------------------------------------------------


def channels_second(rank: int) -> tuple[int, ...]:
    """The transposition from (batch, channels, positions...) to channels last."""
    return (0, *range(2, rank), 1)


def window(axes: Sequence[Axis], sizes: Shape) -> tuple[dict[str, Any], bool]:
    """The attributes of a window, and whether they say its padding too."""
    said: dict[str, Any] = {
        "kernel_shape": [axis.taps for axis in axes],
        "strides": [axis.stride for axis in axes],
        "dilations": [axis.dilation for axis in axes],
    }
    sides = [*(axis.low for axis in axes), *(axis.high for axis in axes)]
    if all(isinstance(side, int) and side >= 0 for side in sides):
        return said | {"pads": sides}, True
    pairs = zip(axes, sizes, strict=True)
    if all(
        (axis.low, axis.high) == geometry.same(size, axis.taps, axis.stride, axis.dilation)
        for axis, size in pairs
    ):
        return said | {"auto_pad": "SAME_UPPER"}, True
    return said, False


def _windowed(writer: Writer, x: Node, node: Node, absent: Any) -> tuple[str, dict[str, Any]]:
    """The operand of a window with channels second, and its attributes; padded where no attribute
    says how.
    """
    axes, perm = node["axes"], channels_second(x.rank)
    sizes = x.shape[1:-1]
    said, complete = window(axes, sizes)
    name = writer.sheet.in_order(writer.value(x), perm, node.origin, writer.label(x))
    if not complete:
        sides: list[tuple[Dim, Dim]] = [(0, 0), *((a.low, a.high) for a in axes), (0, 0)]
        name = padded(writer, Value(name, perm), sides, absent, node).name
    return name, said


@_emits("pool_max")
def pool_max(writer: Writer, node: Node) -> Value:
    (x,) = node.inputs
    if x.rank != len(node["axes"]) + 2:
        raise unwritten(node, "pooling over several axes of batches")
    lowest = -np.inf if node.dtype.startswith("float") else np.iinfo(node.dtype).min
    name, said = _windowed(writer, x, node, lowest)
    found = writer.sheet.node("MaxPool", [name], node.origin, **said)
    return Value(found, channels_second(node.rank))


@_emits("conv")
def conv(writer: Writer, node: Node) -> Value:
    face, axes = node["face"], node["axes"]
    if face == "w":
        raise unwritten(node, "a gradient by weights")
    data = node.inputs[0 if face == "y" else 1]
    if not axes and node["groups"] == 1 and face == "y":
        return _matrix(writer, node)
    if not axes or data.rank != len(axes) + 2:
        raise unwritten(node, "a convolution over several axes of batches, or of none in groups")
    return _conv(writer, node) if face == "y" else _conv_transpose(writer, node)


def _matrix(writer: Writer, node: Node) -> Value:
    names = [
        writer.sheet.plain(writer.value(each), node.origin, writer.label(each))
        for each in node.inputs
    ]
    value = Value(writer.sheet.node("MatMul", names, node.origin), straight(node.rank))
    writer.weight(node.inputs[1], names[1], straight(2))
    writer.open(node, value)
    return value


def _kernel(writer: Writer, w: Node, origin: str) -> str:
    """Weights [taps..., c, f] as ONNX has them, [f, c, taps...]."""
    perm = (*range(2, w.rank), 1, 0)
    name = writer.sheet.in_order(writer.value(w), perm, origin, writer.label(w))
    writer.weight(w, name, inverse(perm))
    return name


def _conv(writer: Writer, node: Node) -> Value:
    x, w = node.inputs
    name, said = _windowed(writer, x, node, 0)
    operands = [name, _kernel(writer, w, node.origin)]
    found = writer.sheet.node("Conv", operands, node.origin, group=node["groups"], **said)
    value = Value(found, channels_second(node.rank))
    writer.open(node, value)
    return value


def _conv_transpose(writer: Writer, node: Node) -> Value:
    w, y = node.inputs
    axes = node["axes"]
    perm = channels_second(y.rank)
    operands = [
        writer.sheet.in_order(writer.value(y), perm, node.origin, writer.label(y)),
        _kernel(writer, w, node.origin),
    ]
    said, _ = window([Axis(a.taps, a.stride, a.dilation) for a in axes], node["sizes"])
    each = zip(axes, y.shape[1:-1], node["sizes"], strict=True)
    ends = [(a.low, (outputs - 1) * a.stride + a.span - size - a.low) for a, outputs, size in each]
    sides = [*(low for low, _ in ends), *(high for _, high in ends)]
    whole = all(isinstance(side, int) and side >= 0 for side in sides)
    extra = [max(-high, 0) if isinstance(high, int) else -1 for _, high in ends]
    small = all(0 <= e < max(a.stride, a.dilation) for e, a in zip(extra, axes, strict=True))
    lows = all(isinstance(low, int) and low >= 0 for low, _ in ends)
    said["group"] = node["groups"]
    if whole or (small and lows):
        said["pads"] = [*(low for low, _ in ends), *(max(high, 0) for _, high in ends)]
        said["output_padding"] = None if whole else extra
        ends = []
    name = writer.sheet.node("ConvTranspose", operands, node.origin, **said)
    value = Value(name, perm)
    if not ends:
        writer.open(node, value)
        return value
    cropped: list[tuple[Dim, Dim]] = [(-low, -high) for low, high in ends]
    return padded(writer, value, [(0, 0), *cropped, (0, 0)], 0, node)


def unwritten(node: Node, what: str) -> ArgumentError:
    """The error for a program that has no equivalent in ONNX here."""
    where = f"to_onnx: {node.origin or 'the model'} ({node.op})"
    return ArgumentError(explain(where, what, "what a layer computes when it predicts"))


@_emits("random", "scatter_add", "pool_argmax", "pool_take", "pool_scatter")
def training_only(writer: Writer, node: Node) -> Value:
    raise unwritten(node, "random numbers or a gradient")

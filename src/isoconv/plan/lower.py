"""The form's faces as the kernels take them: the same sums, the weights laid out for the reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import replace

from isoconv.ir.forms import is_depthwise
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, Node, origin, raw, rebuild, rewrite
from isoconv.ir.layout import apart, in_lines
from isoconv.ir.ops import make
from isoconv.ir.sizes import Dim
from isoconv.plan.kernel import has_small_groups, is_dense


def lower(graph: Graph) -> Graph:
    """An equal graph with every face x without strides, and every depthwise form of several filters
    a channel, in the shape a kernel knows.
    """
    return Graph(graph.inputs, tuple(_rewritten(graph.outputs, _lower)))


def turn_weights(graph: Graph) -> Graph:
    """The graph with the face x where it is left as kernels compute it, its weights turned, and
    with weights that lie group by group, or in lines, read so.

    These are a face of the kernels' own ("xt"), and weights of one axis more, [k..., g, c, f] or
    [l, k..., c, f/l], both unknown to the program: nothing checks it after this.
    """
    return Graph(graph.inputs, tuple(_rewritten(graph.outputs, _turn)))


def _rewritten(
    outputs: Sequence[Node], change: Callable[[Node, tuple[Node, ...]], Node]
) -> list[Node]:
    """What `rewrite` gives, new nodes coming from where the old one did."""

    def changed(node: Node, inputs: tuple[Node, ...]) -> Node:
        with origin(node.origin):
            return change(node, inputs)

    # In an empty context, so that no name around this call comes before theirs.
    return Context().run(rewrite, outputs, changed)


def _lower(node: Node, inputs: tuple[Node, ...]) -> Node:
    if node.op == "conv" and node["face"] != "x" and _is_frame(inputs[0], node):
        return _lower(*_without_frame(node, *inputs))
    if node.op == "conv" and node["face"] == "x" and not _has_strides(node):
        return _gathered(node, *inputs)
    if node.op == "conv" and node["face"] == "y" and _repeats_channels(node):
        return _depthwise(node, *inputs)
    return rebuild(node, inputs)


def _turn(node: Node, inputs: tuple[Node, ...]) -> Node:
    if node.op == "conv" and node["face"] == "y" and is_dense(node) and not has_small_groups(node):
        weights = apart(inputs[1], node["groups"]) or in_lines(inputs[1]) or inputs[1]
        return raw("conv", (inputs[0], weights), dict(node.attrs), node.shape, node.dtype)
    if node.op != "conv" or node["face"] != "x" or is_depthwise(node):
        return rebuild(node, inputs)
    w, y = inputs
    turned = _transpose(w, node["groups"])
    return raw("conv", (turned, y), dict(node.attrs) | {"face": "xt"}, node.shape, node.dtype)


def _is_frame(x: Node, conv: Node) -> bool:
    """Whether these are zeros around what a form slides over, and nothing else."""
    if x.op != "pad" or x["value"] != 0 or any(x["interior"]):
        return False
    first = x.rank - 1 - len(conv["axes"])
    beside = (*range(first), x.rank - 1)
    widths = [x[side][axis] for side in ("low", "high") for axis in range(x.rank)]
    return all(x["low"][axis] == x["high"][axis] == 0 for axis in beside) and all(
        isinstance(width, int) and width >= 0 for width in widths
    )


def _without_frame(node: Node, x: Node, other: Node) -> tuple[Node, tuple[Node, ...]]:
    """The form with the zeros around x as its padding: they are absent, not multiplied."""
    first, (inside,) = x.rank - 1 - len(node["axes"]), x.inputs
    axes = tuple(
        replace(axis, low=axis.low + x["low"][first + i], high=axis.high + x["high"][first + i])
        for i, axis in enumerate(node["axes"])
    )
    attrs = dict(node.attrs) | {"axes": axes, "sizes": inside.shape[first:-1]}
    return make("conv", inside, other, **attrs), (inside, other)


def _has_strides(node: Node) -> bool:
    return any(axis.stride > 1 for axis in node["axes"])


def _repeats_channels(node: Node) -> bool:
    _, w = node.inputs
    return node["groups"] > 1 and w.shape[-2] == 1 and w.shape[-1] > node["groups"]


def _depthwise(node: Node, x: Node, w: Node) -> Node:
    """Several filters a channel: the channel repeated, then one filter for each copy."""
    lead, channels, filters = x.shape[:-1], node["groups"], node.shape[-1]
    each = filters // channels
    apart = make("reshape", x, shape=(*lead, channels, 1))
    copies = make("broadcast", apart, shape=(*lead, channels, each))
    repeated = make("reshape", copies, shape=(*lead, filters))
    attrs = dict(node.attrs) | {"groups": filters}
    return make("conv", repeated, w, **attrs)


def _gathered(node: Node, w: Node, y: Node) -> Node:
    """The face x as the face y of the outputs, padded by what the windows overhang: weights
    [k..., c, g*f] become [k..., f, g*c] with their taps turned round.
    """
    groups, axes = node["groups"], node["axes"]
    turned = _transpose(w, groups)
    if axes:
        turned = make("reverse", turned, axes=tuple(range(len(axes))))
    first = y.rank - 1 - len(axes)
    back = tuple(
        _backwards(axis, size, y.shape[first + i])
        for i, (axis, size) in enumerate(zip(axes, node["sizes"], strict=True))
    )
    return make("conv", y, turned, face="y", axes=back, groups=groups, sizes=y.shape[first:-1])


def _transpose(w: Node, groups: int) -> Node:
    *taps, channels, filters = w.shape
    rank = len(taps)
    if groups == 1:
        return make("transpose", w, perm=(*range(rank), rank + 1, rank))
    apart = make("reshape", w, shape=(*taps, channels, groups, filters // groups))
    perm = (*range(rank), rank + 2, rank + 1, rank)
    swapped = make("transpose", apart, perm=perm)
    return make("reshape", swapped, shape=(*taps, filters // groups, groups * channels))


def _backwards(axis: Axis, length: Dim, outputs: Dim) -> Axis:
    """The axis along which outputs are gathered back to `length` inputs."""
    low = axis.span - 1 - axis.low
    high = length + axis.span - 1 - outputs - low
    return Axis(axis.taps, 1, axis.dilation, low, high)

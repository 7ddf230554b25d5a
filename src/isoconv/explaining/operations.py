"""What a layer does, read off the graph it makes: windows and products, with their arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from isoconv.explaining.facts import AxisFacts, OperationFacts
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node, sort
from isoconv.ir.sizes import number
from isoconv.plan.cost import multiply_adds

_NAMES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def operations(nodes: Sequence[Node], inputs: Sequence[Node]) -> tuple[OperationFacts, ...]:
    """The windows and products among a layer's nodes that work on its inputs, in order."""
    return tuple(operation(node) for node in working(nodes, inputs))


def working(nodes: Sequence[Node], inputs: Sequence[Node]) -> list[Node]:
    """The nodes of windows and products among a layer's that work on its inputs, in order."""
    inside = set(nodes)
    found = []
    reached = set(inputs)
    for node in sort(nodes):
        if node not in inside or not reached.intersection(node.inputs):
            continue
        reached.add(node)
        if node.op == "pool_max" or (node.op == "conv" and node["face"] != "w"):
            found.append(node)
    return found


def operation(node: Node) -> OperationFacts:
    """One of them."""
    return _pooling(node) if node.op == "pool_max" else _form(node)


def operands(node: Node) -> tuple[Node, Node | None]:
    """What its windows read, and its weights: none where it only compares or adds up."""
    if node.op == "pool_max":
        return node.inputs[0], None
    weights, data = node.inputs if node["face"] == "x" else reversed(node.inputs)
    return data, None if weights.op == "full" else weights


def _pooling(node: Node) -> OperationFacts:
    (before,) = node.inputs
    axes = _axes(node["axes"], before.shape[1:-1], node.shape[1:-1], False)
    channels = number(node.shape[-1])
    taps = prod(axis.taps for axis in axes)
    return OperationFacts("max pooling", axes, channels, channels, channels, taps, 0, 0)


def _form(node: Node) -> OperationFacts:
    transposed = node["face"] == "x"
    data, weights = operands(node)
    rank = len(node["axes"])
    places = slice(node.rank - 1 - rank, -1)
    axes = _axes(node["axes"], data.shape[places], node.shape[places], transposed)
    summed = weights is None
    kind = "transposed convolution" if transposed else "convolution"
    kind = "sum of windows" if summed else kind if rank else "product"
    groups, channels = node["groups"], number(data.shape[-1])
    pairs = [_pairs(axis) for axis in axes]
    total = 0 if summed else number(multiply_adds(node))
    live = prod(each for each, _ in pairs)
    counted = prod((axis.length if transposed else axis.output) * axis.taps for axis in axes)
    return OperationFacts(
        kind,
        axes,
        groups,
        channels,
        number(node.shape[-1]),
        prod(most for _, most in pairs) * (channels // groups),
        total,
        total - total // counted * live,
    )


def _pairs(axis: AxisFacts) -> tuple[int, int]:
    """How many inputs all outputs read together, and how many one at most."""
    met = [places for _, places in axis.meetings()]
    step = axis.stride if axis.transposed else 1
    # Outputs that share no tap stand behind each other, as those of one class.
    starts, ends = (
        np.sort([each[end] % step * 2 * axis.output + each[end] for each in met]) for end in (0, -1)
    )
    begun = np.arange(1, len(met) + 1)
    ended = np.searchsorted(ends, starts)
    return sum(map(len, met)), int((begun - ended).max(initial=0))


def _axes(
    axes: Sequence[Axis], lengths: Sequence[object], outputs: Sequence[object], transposed: bool
) -> tuple[AxisFacts, ...]:
    names = _NAMES.get(len(axes), [f"axis {i}" for i in range(len(axes))])
    found = []
    for name, axis, length, output in zip(names, axes, lengths, outputs, strict=True):
        found.append(_axis(name, axis, int(str(length)), int(str(output)), transposed))
    return tuple(found)


def _axis(name: str, axis: Axis, length: int, output: int, transposed: bool) -> AxisFacts:
    facts = AxisFacts(
        name=name,
        length=length,
        output=output,
        taps=axis.taps,
        stride=axis.stride,
        dilation=axis.dilation,
        span=axis.span,
        before=number(axis.low),
        after=number(axis.high),
        transposed=transposed,
        later=0,
        earlier=0,
    )
    apart = [ahead for ahead, _ in facts.meetings()]
    later, earlier = max(apart, default=0), -min(apart, default=0)
    return replace(facts, later=max(later, 0), earlier=max(earlier, 0))

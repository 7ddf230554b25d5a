"""Rows 1, 2 and 4: axes of a form that do not slide are none; the form keeps its sums and bits.

An axis of one tap that comes first is one more axis of the batch. The last axis, where taps span
all of it, is more channels: positions and channels are summed in the order in which they lie.
"""

from __future__ import annotations

from collections.abc import Callable

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.ops import OPERANDS, make
from isoconv.ir.sizes import Shape
from isoconv.rewriting.rule import Facts, Rule

Narrow = Callable[[Shape], Shape]


def _first(node: Node, facts: Facts) -> Node | None:
    axes = node["axes"]
    if not axes or axes[0] != Axis(1):
        return None
    return _without(node, 0, {"x": lambda s: s, "y": lambda s: s, "w": lambda s: s[1:]})


def _last(node: Node, facts: Facts) -> Node | None:
    axes, sizes = node["axes"], node["sizes"]
    if not axes or node["groups"] > 1 or sizes[-1] != axes[-1].taps:
        return None
    axis = axes[-1]
    if (axis.low, axis.high) != (0, 0) or axis.dilation > 1:
        return None

    def joined(shape: Shape) -> Shape:
        return (*shape[:-2], shape[-2] * shape[-1])

    return _without(
        node,
        -1,
        {
            "x": joined,
            "y": lambda s: (*s[:-2], s[-1]),
            "w": lambda s: (*s[:-3], s[-3] * s[-2], s[-1]),
        },
    )


def _without(node: Node, place: int, narrow: dict[str, Narrow]) -> Node | None:
    """The form without one axis, each operand in the shape that it then has."""
    face = node["face"]
    axes, sizes = list(node["axes"]), list(node["sizes"])
    del axes[place], sizes[place]
    parts = [
        _reshaped(part, narrow[name](part.shape))
        for name, part in zip(OPERANDS[face], node.inputs, strict=True)
    ]
    attrs = dict(node.attrs) | {"axes": tuple(axes), "sizes": tuple(sizes)}
    return _reshaped(make("conv", *parts, **attrs), node.shape)


def _reshaped(node: Node, shape: Shape) -> Node:
    return node if node.shape == shape else make("reshape", node, shape=shape)


RULES = (
    Rule(
        "a first axis of one tap is an axis of the batch",
        "1",
        "conv over n + 1 axes, the first of one tap",
        "conv over n axes",
        "stride 1, no padding",
        "exact",
        frozenset({"conv"}),
        _first,
    ),
    Rule(
        "taps that span the whole last axis are channels",
        "4",
        "conv(x [..., L, C], w [..., L, C, F])",
        "conv(reshape(x) [..., L * C], reshape(w) [..., L * C, F])",
        "no padding, dilation 1, groups 1",
        "exact",
        frozenset({"conv"}),
        _last,
    ),
)

"""Row 17: two convolutions with nothing between, as one whose weights are their product."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.ops import make
from isoconv.ir.sizes import Dim
from isoconv.rewriting.rule import Facts, Rule
from isoconv.rewriting.weights import (
    affine,
    constant_response,
    data_of,
    is_form,
    is_unpadded,
    taps_of,
    weights_of,
)


def multiply(node: Node, facts: Facts) -> Node | None:
    if not is_form(node, facts) or node["groups"] > 1 or not is_unpadded(node["axes"]):
        return None
    inner = affine(data_of(node), facts)
    first = inner.source
    if inner.scale is not None or not is_form(first, facts) or first["groups"] > 1:
        return None
    if first.shape != data_of(node).shape or len(first["axes"]) != len(node["axes"]):
        return None
    if not facts.read_once(data_of(node)) or not facts.read_once(first):
        return None
    axes = product_axes(first["axes"], node["axes"])
    if not fewer_products(first, node, axes):
        return None
    w = product_weights(weights_of(first), weights_of(node), first["axes"], node["axes"], axes)
    attrs = dict(first.attrs) | {"axes": axes}
    joint = make("conv", data_of(first), w, **attrs)
    if inner.shift is None:
        return joint
    shift = constant_response(inner.shift, weights_of(node), 1, node.rank)
    return make("add", joint, shift)


def product_axes(first: Sequence[Axis], second: Sequence[Axis]) -> tuple[Axis, ...]:
    """The windows of the second convolution's outputs on the first one's input."""
    return tuple(_product_axis(*pair) for pair in zip(first, second, strict=True))


def _product_axis(first: Axis, second: Axis) -> Axis:
    step = second.dilation * first.stride
    span = first.span + (second.taps - 1) * step
    between = gcd(first.dilation * (first.taps > 1), step * (second.taps > 1)) or 1
    # Cropping by the second convolution counts in outputs of the first.
    low, high = first.low + second.low * first.stride, first.high + second.high * first.stride
    taps = (span - 1) // between + 1
    return Axis(taps, first.stride * second.stride, between, low, high)


def fewer_products(first: Node, second: Node, axes: Sequence[Axis]) -> bool:
    """Whether one output of the second takes fewer multiply-adds by the joint weights; it uses up
    as many outputs of the first as its strides say.
    """
    channels, middle, filters = (
        data_of(first).shape[-1],
        first.shape[-1],
        second.shape[-1],
    )
    steps = prod(axis.stride for axis in second["axes"])
    apart = steps * (middle * channels * taps_of(first["axes"]))
    apart = apart + filters * middle * taps_of(second["axes"])
    saved = apart - filters * channels * taps_of(axes)
    return isinstance(saved, int) and saved > 0


def product_weights(
    w: Node, v: Node, first: Sequence[Axis], second: Sequence[Axis], axes: Sequence[Axis]
) -> Node:
    """W[k, c, f] = sum over m of w[i, c, m] v[j, m, f] with k * d = i * d1 + j * d2 * s1: the face
    x of w, whose outputs are the taps of v.
    """
    rank = len(axes)
    outputs = make("transpose", v, perm=(rank + 1, *range(rank), rank))
    pairs = list(zip(first, second, axes, strict=True))
    moves = tuple(
        Axis(
            one.taps,
            _step(two.dilation * one.stride, each, two.taps),
            _step(one.dilation, each, one.taps),
        )
        for one, two, each in pairs
    )
    sizes: tuple[Dim, ...] = tuple(each.taps for each in axes)
    spread = make("conv", w, outputs, face="x", axes=moves, groups=1, sizes=sizes)
    return make("transpose", spread, perm=(*range(1, rank + 1), rank + 1, 0))


def _step(distance: int, joint: Axis, taps: int) -> int:
    """A distance between taps, in taps of the joint window; of a single tap none matters."""
    return distance // joint.dilation if taps > 1 else joint.taps


RULES = (
    Rule(
        "two convolutions in a row",
        "17",
        "conv(conv(x, w) + b, v)",
        "conv(x, w * v) + sum(b * v)",
        "nothing between, the second without padding, groups 1, fewer multiply-adds",
        "folding",
        frozenset({"conv"}),
        multiply,
    ),
)

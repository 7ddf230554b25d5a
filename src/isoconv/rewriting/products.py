"""Rows 17 and 8b: two convolutions with nothing between, as one whose weights are their product."""

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
    return _joint(node, facts, separable=False)


def multiply_separable(node: Node, facts: Facts) -> Node | None:
    return _joint(node, facts, separable=True)


def _joint(node: Node, facts: Facts, separable: bool) -> Node | None:
    """Two forms as one; separable: those of which the first is depthwise, the second of one tap."""
    if not is_form(node, facts) or not is_unpadded(node["axes"]):
        return None
    inner = affine(data_of(node), facts)
    first = inner.source
    if inner.scale is not None or not is_form(first, facts):
        return None
    if first.shape != data_of(node).shape or len(first["axes"]) != len(node["axes"]):
        return None
    if not facts.read_once(data_of(node)) or not facts.read_once(first):
        return None
    if _is_separable(first, node) != separable:
        return None
    axes = product_axes(first["axes"], node["axes"])
    groups = gcd(first["groups"], node["groups"])
    if not fewer_products(first, node, axes, groups):
        return None
    w, v = (in_groups(weights_of(each), each["groups"], groups) for each in (first, node))
    weights = product_weights(w, v, first["axes"], node["axes"], axes, groups)
    attrs = dict(first.attrs) | {"axes": axes, "groups": groups}
    joint = make("conv", data_of(first), weights, **attrs)
    if inner.shift is None:
        return joint
    shift = constant_response(inner.shift, weights_of(node), node["groups"], node.rank)
    return make("add", joint, shift)


def _is_separable(first: Node, second: Node) -> bool:
    depthwise = first["groups"] > 1 and weights_of(first).shape[-2] == 1
    return depthwise and second["groups"] == 1 and taps_of(second["axes"]) == 1


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


def fewer_products(first: Node, second: Node, axes: Sequence[Axis], groups: int) -> bool:
    """Whether one output of the second takes fewer multiply-adds by the joint weights, which have
    so many groups; it uses up as many outputs of the first as its strides say.
    """
    (inner, middle), (between, filters) = (weights_of(each).shape[-2:] for each in (first, second))
    steps = prod(axis.stride for axis in second["axes"])
    apart = steps * (middle * inner * taps_of(first["axes"]))
    apart = apart + filters * between * taps_of(second["axes"])
    saved = apart - filters * (inner * (first["groups"] // groups)) * taps_of(axes)
    return isinstance(saved, int) and saved > 0


def in_groups(weights: Node, own: int, groups: int) -> Node:
    """Weights [k..., c, g*f] of `own` groups for fewer `groups`, with zeros for other channels."""
    if own == groups:
        return weights
    *taps, channels, filters = weights.shape
    each = own // groups
    ones = (1,) * len(taps)
    apart = make("reshape", weights, shape=(*taps, 1, channels, groups, each, filters // own))
    shape = (*ones, each, 1, 1, each, 1)
    row = make("iota", axis=len(taps), shape=shape, dtype="int32")
    column = make("iota", axis=len(taps) + 3, shape=shape, dtype="int32")
    zero = make("full", value=0.0, shape=(1,) * len(shape), dtype=weights.dtype)
    spread = make("where", make("eq", row, column), apart, zero)
    return make("reshape", spread, shape=(*taps, each * channels, filters))


def product_weights(
    w: Node,
    v: Node,
    first: Sequence[Axis],
    second: Sequence[Axis],
    axes: Sequence[Axis],
    groups: int,
) -> Node:
    """W[k, c, f] = sum over m of w[i, c, m] v[j, m, f] with k * d = i * d1 + j * d2 * s1, in each
    group: the face x of w, whose outputs are the taps of v.
    """
    rank = len(axes)
    *taps, between, filters = v.shape
    each = filters // groups
    apart = make("reshape", v, shape=(*taps, between, groups, each))
    turned = make("transpose", apart, perm=(rank + 2, *range(rank), rank + 1, rank))
    outputs = make("reshape", turned, shape=(each, *taps, groups * between))
    pairs = list(zip(first, second, axes, strict=True))
    moves = tuple(
        Axis(
            one.taps,
            _step(two.dilation * one.stride, joint, two.taps),
            _step(one.dilation, joint, one.taps),
        )
        for one, two, joint in pairs
    )
    sizes: tuple[Dim, ...] = tuple(joint.taps for joint in axes)
    spread = make("conv", w, outputs, face="x", axes=moves, groups=groups, sizes=sizes)
    inner = w.shape[-2]
    parts = make("reshape", spread, shape=(each, *sizes, groups, inner))
    back = make("transpose", parts, perm=(*range(1, rank + 1), rank + 2, rank + 1, 0))
    return make("reshape", back, shape=(*sizes, inner, filters))


def _step(distance: int, joint: Axis, taps: int) -> int:
    """A distance between taps, in taps of the joint window; of a single tap none matters."""
    return distance // joint.dilation if taps > 1 else joint.taps


RULES = (
    Rule(
        "two convolutions in a row",
        "17",
        "conv(conv(x, w) + b, v)",
        "conv(x, w * v) + sum(b * v)",
        "nothing between, the second without padding, fewer multiply-adds",
        "folding",
        frozenset({"conv"}),
        multiply,
    ),
    Rule(
        "a separable convolution with few filters",
        "8b",
        "conv(depthwise(x, w), v), v of one tap",
        "conv(x, w * v)",
        "nothing between, fewer multiply-adds",
        "folding",
        frozenset({"conv"}),
        multiply_separable,
    ),
)

"""What folding rules share: reading scales and shifts off a program, and weights as expressions.

Everything made here from weights alone is computed once per version of the weights, not at each
call (`rewriting.prepare`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.ops import make
from isoconv.ir.sizes import Dim
from isoconv.rewriting.rule import Facts


def number(value: float, like: Node) -> Node:
    """One number, of the dtype and rank of a node."""
    return make("full", value=value, shape=(1,) * like.rank, dtype=like.dtype)


def add(left: Node | None, right: Node | None) -> Node | None:
    """The sum of two terms of which either may be missing."""
    if left is None or right is None:
        return left if right is None else right
    return make("add", left, right)


def is_channelwise(node: Node, facts: Facts) -> bool:
    """Whether this is one prepared number a channel, or for all."""
    return (
        node.dtype.startswith("float")
        and node.rank > 0
        and all(dim == 1 for dim in node.shape[:-1])
        and facts.is_fixed(node)
    )


@dataclass(frozen=True)
class Affine:
    """`source * scale + shift`, channel by channel; None for a scale of 1, a shift of 0."""

    source: Node
    scale: Node | None = None
    shift: Node | None = None


def affine(node: Node, facts: Facts) -> Affine:
    """The node as scale and shift of what is under them; each value between is read only there."""
    if node.op not in ("add", "sub", "mul", "div"):
        return Affine(node)
    left, right = node.inputs
    if is_channelwise(right, facts) and left.shape == node.shape:
        return _applied(node.op, _inner(left, facts), right)
    if node.op in ("add", "mul") and is_channelwise(left, facts) and right.shape == node.shape:
        return _applied(node.op, _inner(right, facts), left)
    return Affine(node)


def _inner(node: Node, facts: Facts) -> Affine:
    return affine(node, facts) if facts.read_once(node) else Affine(node)


def _applied(op: str, inner: Affine, value: Node) -> Affine:
    if op == "add":
        return Affine(inner.source, inner.scale, add(inner.shift, value))
    if op == "sub":
        return Affine(inner.source, inner.scale, add(inner.shift, make("neg", value)))
    if op == "div":
        value = make("div", number(1.0, value), value)
    scale = value if inner.scale is None else make("mul", inner.scale, value)
    return Affine(inner.source, scale, inner.shift and make("mul", inner.shift, value))


# -- the form's weights -----------------------------------------------------------------------


def is_form(node: Node, facts: Facts, faces: str = "y") -> bool:
    """Whether this is the form solved for its outputs (or inputs), with weights that stay."""
    if node.op != "conv" or node["face"] not in faces:
        return False
    return facts.is_fixed(weights_of(node)) and not facts.is_fixed(data_of(node))


def weights_of(form: Node) -> Node:
    """The weights of a form of face y or x."""
    return form.inputs[1 if form["face"] == "y" else 0]


def data_of(form: Node) -> Node:
    """What a form of face y or x slides over."""
    return form.inputs[0 if form["face"] == "y" else 1]


def with_weights(form: Node, weights: Node) -> Node:
    """The same form with other weights."""
    data = data_of(form)
    inputs = (data, weights) if form["face"] == "y" else (weights, data)
    return make("conv", *inputs, **dict(form.attrs))


def vector(channelwise: Node, size: Dim) -> Node:
    """One number a channel, as a vector."""
    flat = make("reshape", channelwise, shape=(channelwise.shape[-1],))
    return flat if flat.shape == (size,) else make("broadcast", flat, shape=(size,))


def along_filters(values: Node, weights: Node) -> Node:
    """Channelwise values in a shape that broadcasts along the last axis of weights."""
    return make("reshape", values, shape=(*(1,) * (weights.rank - 1), values.shape[-1]))


def along_channels(values: Node, weights: Node, groups: int) -> Node:
    """One number for each of the input channels [g*c], in a shape that broadcasts against
    weights [k..., c, g*f].
    """
    *_, inner, filters = weights.shape
    rows = make("reshape", vector(values, inner * groups), shape=(groups, inner))
    turned = make("transpose", rows, perm=(1, 0))
    apart = make("reshape", turned, shape=(inner, groups, 1))
    spread = make("broadcast", apart, shape=(inner, groups, filters // groups))
    return make("reshape", spread, shape=(*(1,) * (weights.rank - 2), inner, filters))


def constant_response(shift: Node, weights: Node, groups: int, rank: int) -> Node:
    """What a form without padding gives for an input that is `shift` everywhere: [1..., g*f]."""
    products = make("mul", weights, along_channels(shift, weights, groups))
    total = make("reduce_sum", products, axes=tuple(range(weights.rank - 1)))
    return make("reshape", total, shape=(*(1,) * (rank - 1), weights.shape[-1]))


def identity(channels: int, groups: int, rank: int, dtype: str) -> Node:
    """Weights [1..., c, g*c] of a form of `rank` axes that gives back its input."""
    inner = channels // groups
    shape = (inner, groups, inner)
    row = make("iota", axis=0, shape=shape, dtype="int32")
    column = make("iota", axis=2, shape=shape, dtype="int32")
    ones = make("cast", make("eq", row, column), dtype=dtype)
    return make("reshape", ones, shape=(*(1,) * rank, inner, channels))


def placed(weights: Node, starts: Sequence[int], taps: Sequence[int]) -> Node:
    """Weights with zero taps around theirs, which begin at `starts`."""
    ends = [t - s - own for t, s, own in zip(taps, starts, weights.shape[:-2], strict=True)]
    if not any((*starts, *ends)):
        return weights
    return make(
        "pad",
        weights,
        low=(*starts, 0, 0),
        high=(*ends, 0, 0),
        interior=(0,) * weights.rank,
        value=0.0,
    )


def is_unpadded(axes: Sequence[Axis]) -> bool:
    """Whether no window reaches past the input."""
    return all(_at_most_zero(axis.low) and _at_most_zero(axis.high) for axis in axes)


def _at_most_zero(pad: object) -> bool:
    return isinstance(pad, int) and pad <= 0


def taps_of(axes: Sequence[Axis]) -> int:
    return prod(axis.taps for axis in axes)

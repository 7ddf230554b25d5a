"""A form in tiles: operands are taken to the points of a scheme, multiplied there, taken back."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.layout import joined
from isoconv.ir.ops import make
from isoconv.ir.schemes import Scheme
from isoconv.ir.sizes import Dim, ceildiv, product


def groups_of(form: Node, schemes: Sequence[Scheme]) -> list[int]:
    """How many times the taps of a scheme make up those of a form, on each axis."""
    return [-(-axis.taps // each.taps) for axis, each in zip(form["axes"], schemes, strict=True)]


def tiled(form: Node, schemes: Sequence[Scheme]) -> Node:
    """The face y of a form without strides and dilation, of one group or depthwise, by schemes.

    Where a filter has several times the taps of its scheme, these have as many as outputs.
    """
    x, w = form.inputs
    names = tuple(each.name for each in schemes)
    first = form.rank - 1 - len(schemes)
    sizes, lengths = form.shape[first:-1], x.shape[first:-1]
    groups = groups_of(form, schemes)
    tiles = [ceildiv(size, each.outputs) for size, each in zip(sizes, schemes, strict=True)]
    read, written = [], []
    for axis, each, count, group, length, size in zip(
        form["axes"], schemes, tiles, groups, lengths, sizes, strict=True
    ):
        reach = (count + group - 2) * each.outputs + each.outputs + each.taps - 1
        width = each.outputs + each.taps - 1
        read.append(Axis(width, each.outputs, 1, axis.low, reach - length - axis.low))
        written.append(Axis(each.outputs, each.outputs, 1, 0, count * each.outputs - size))
    data = make("to_points", x, axes=tuple(read), schemes=names, side="data")
    points = prod(each.points for each in schemes)
    alone = form["groups"] > 1
    weights = _weights(w, schemes, names, groups, alone)
    joint = points * form["groups"]
    if prod(groups) == 1 and not alone:
        rows: Dim = product(data.shape[:-1])
        flat = make("reshape", data, shape=(rows, data.shape[-1]))
        products = make("conv", flat, weights, face="y", axes=(), groups=joint, sizes=())
    else:
        moves = tuple(map(Axis, groups))
        there = data.shape[first:-1]
        products = make("conv", data, weights, face="y", axes=moves, groups=joint, sizes=there)
    given = {"axes": tuple(written), "schemes": names, "side": "outputs", "sizes": sizes}
    whole = make("reshape", products, shape=(*form.shape[:first], *tiles, products.shape[-1]))
    return make("from_points", whole, **given)


def _weights(
    w: Node,
    schemes: Sequence[Scheme],
    names: tuple[str, ...],
    groups: Sequence[int],
    depthwise: bool,
) -> Node:
    """Weights [k..., c, f] at points, as those of a form of as many groups, [k..., c, p*f]: without
    axes where each has one tap and the form is not depthwise.
    """
    *taps, channels, filters = w.shape
    axes = tuple(
        Axis(each.taps, each.taps, 1, 0, group * each.taps - tap)
        for each, group, tap in zip(schemes, groups, taps, strict=True)
    )
    flat = make("reshape", w, shape=(*taps, channels * filters))
    there = make("to_points", flat, axes=axes, schemes=names, side="weights")
    points = prod(each.points for each in schemes)
    if depthwise:
        return make("reshape", there, shape=(*groups, 1, points * filters))
    lead = tuple(groups) if prod(groups) > 1 else ()
    return joined(make("reshape", there, shape=(*lead, points, channels, filters)))

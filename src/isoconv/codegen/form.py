"""The emission of the form element by element: any face, rank and groups, in the one order of sums
that the faster kernels keep too.
"""

from __future__ import annotations

from collections.abc import Sequence

from isoconv.codegen import taps
from isoconv.codegen.emit import Value
from isoconv.codegen.index import ZERO, Coord, Index
from isoconv.codegen.pull import Pull
from isoconv.codegen.reductions import blocked
from isoconv.codegen.windows import each_tap
from isoconv.ir.graph import Node
from isoconv.ir.sizes import number


def conv(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    if node["face"] == "w":
        return _conv_w(p, node, index, mask)
    return _conv_sum(p, node, index, mask)


def _group(p: Pull, channel: Coord, each: int) -> tuple[Coord, Coord]:
    """Which group a channel belongs to, and its number there."""
    if each == 1:
        return channel, ZERO
    group, _ = p.lanes.divide(channel, each)
    if group.uniform:
        rest = p.b.sub(channel.base, p.b.mul(group.base, each))
        return group, Coord(rest)
    start = p.b.op("mul", p.lanes.vector(group), p.b.const(p.lanes.vector(group).type, each))
    return group, p.lanes.of(p.b.op("sub", p.lanes.vector(channel), start))


def _conv_sum(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    """Faces y and x: one chain of fused multiply-adds by ascending input position and channel."""
    forward = node["face"] == "y"
    data, w = node.inputs if forward else (node.inputs[1], node.inputs[0])
    groups, axes = node["groups"], node["axes"]
    c_each, f_each = number(w.shape[-2]), number(w.shape[-1]) // groups
    summed, mine = (c_each, f_each) if forward else (f_each, c_each)
    first = node.rank - 1 - len(axes)
    assert all(c.uniform for c in index[first:-1])
    find = taps.forward if forward else taps.backward
    live = [
        find(p.b, p.sizes, axis, c.base, length)
        for axis, c, length in zip(axes, index[first:-1], data.shape[first:-1], strict=True)
    ]
    group, own = (ZERO, index[-1]) if groups == 1 else _group(p, index[-1], mine)

    def channel(c: Value, each: int) -> Coord:
        return p.lanes.shift(p.lanes.scale(group, each), c)

    def body(
        found: list[Value], places: list[Coord], carried: tuple[Value, ...]
    ) -> Sequence[Value]:
        at = [Coord(tap) for tap in found]

        def add(numbers: list[Value], values: tuple[Value, ...]) -> Sequence[Value]:
            (c,) = numbers
            x = p.vector(data, (*index[:first], *places, channel(c, summed)), mask)
            last = (Coord(c), index[-1]) if forward else (own, channel(c, f_each))
            weight = p.vector(w, (*at, *last), mask)
            return [p.b.fma(x, weight, values[0])]

        return p.nest([p.sizes(summed)], carried, add)

    return each_tap(p, live, [p.zero(node)], body)[0]


def _conv_w(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    """Face w: the sum over positions, in blocks of the last spatial axis."""
    x, y = node.inputs
    groups, axes = node["groups"], node["axes"]
    c_each, f_each = number(node.shape[-2]), number(node.shape[-1]) // groups
    first = y.rank - 1 - len(axes)
    tap_index, channel, filter_ = index[: len(axes)], index[-2], index[-1]
    assert all(c.uniform for c in tap_index)
    group = ZERO if groups == 1 else _group(p, filter_, f_each)[0]
    source = p.lanes.shift(p.lanes.scale(group, c_each), channel.base)
    ranges = [
        taps.outputs(p.b, p.sizes, axis, tap.base, x.shape[first + i], y.shape[first + i])
        for i, (axis, tap) in enumerate(zip(axes, tap_index, strict=True))
    ]
    counts = [p.sizes(dim) for dim in y.shape[:first]]
    counts += [p.b.sub(last, start) for start, last in ranges[:-1]]
    starts = [start for start, _ in ranges[:-1]]
    if ranges:
        starts.append(p.b.i64(0))
        counts.append(ranges[-1][1])

    def term(numbers: list[Value], values: tuple[Value, ...]) -> Sequence[Value]:
        batch = [Coord(n) for n in numbers[:first]]
        o = [p.b.add(start, n) for start, n in zip(starts, numbers[first:], strict=True)]
        i = [
            Coord(
                p.b.sub(
                    p.b.add(p.b.mul(place, axis.stride), p.b.mul(tap.base, axis.dilation)),
                    p.sizes(axis.low),
                )
            )
            for place, axis, tap in zip(o, axes, tap_index, strict=True)
        ]
        left = p.vector(x, (*batch, *i, source), mask)
        right = p.vector(y, (*batch, *map(Coord, o), filter_), mask)
        return [p.b.fma(left, right, values[0])]

    begin = ranges[-1][0] if ranges else p.b.i64(0)
    return blocked(p, counts, p.zero(node), term, lambda s, t: p.b.op("fadd", s, t), begin)

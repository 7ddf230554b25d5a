"""The emission of pooling, and how the live taps of a window are run over."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

from isoconv.codegen import taps
from isoconv.codegen.emit import Value, vector_type
from isoconv.codegen.index import Coord, Index
from isoconv.codegen.pull import Emission, Pull
from isoconv.codegen.reductions import exceeds, larger, lowest
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Shape

# Windows of up to this many taps, all of them live, are written out.
_UNROLLED = 9


def _window(
    p: Pull, axes: Sequence[Axis], index: Index, lengths: Shape
) -> tuple[list[taps.Taps], int]:
    """The live taps of a window on each axis, and where its spatial axes begin."""
    first = len(index) - 1 - len(axes)
    places = index[first:-1]
    assert all(c.uniform for c in places)
    return [
        taps.forward(p.b, p.sizes, axis, c.base, length)
        for axis, c, length in zip(axes, places, lengths[first:-1], strict=True)
    ], first


def _tap_number(p: Pull, axes: Sequence[Axis], found: Sequence[Value]) -> Value:
    """The row-major number of a tap."""
    result = p.b.i64(0)
    for axis, tap in zip(axes, found, strict=True):
        result = p.b.add(p.b.mul(result, axis.taps), tap)
    return result


def each_tap(
    p: Pull,
    live: Sequence[taps.Taps],
    carried: Sequence[Value],
    body: Callable[[list[Value], list[Coord], tuple[Value, ...]], Sequence[Value]],
) -> tuple[Value, ...]:
    """Runs over live taps by ascending input position: `body(taps, places, carried)`."""

    def step(numbers: list[Value], values: tuple[Value, ...]) -> Sequence[Value]:
        found = [p.b.add(t.tap, p.b.mul(j, t.tap_step)) for t, j in zip(live, numbers, strict=True)]
        places = [
            Coord(p.b.add(t.place, p.b.mul(j, t.place_step)))
            for t, j in zip(live, numbers, strict=True)
        ]
        return body(found, places, values)

    counts = [t.count for t in live]
    known = [int(count.text) for count in counts if count.text.isdigit()]
    if len(known) < len(counts) or math.prod(known) > _UNROLLED:
        return p.nest(counts, carried, step)
    values = tuple(carried)
    for numbers in itertools.product(*map(range, known)):
        values = tuple(step([p.b.i64(number) for number in numbers], values))
    return values


def _pool_max(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    (x,) = node.inputs
    live, first = _window(p, node["axes"], index, x.shape)

    def body(
        found: list[Value], places: list[Coord], carried: tuple[Value, ...]
    ) -> Sequence[Value]:
        return [larger(p, p.vector(x, (*index[:first], *places, index[-1]), mask), carried[0])]

    return each_tap(p, live, [p.zero(x, lowest(x))], body)[0]


def _pool_argmax(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    (x,) = node.inputs
    live, first = _window(p, node["axes"], index, x.shape)
    none = p.b.const(vector_type("i32", p.lanes.count), -1)

    def body(
        found: list[Value], places: list[Coord], carried: tuple[Value, ...]
    ) -> Sequence[Value]:
        best, tap = carried
        value = p.vector(x, (*index[:first], *places, index[-1]), mask)
        better = p.b.op("or", exceeds(p, value, best), p.b.compare("eq", tap, none))
        tap_here = p.b.convert("trunc", _tap_number(p, node["axes"], found), "i32")
        return (
            p.b.select(better, value, best),
            p.b.select(better, p.spread(tap_here), tap),
        )

    return each_tap(p, live, [p.zero(x, lowest(x)), none], body)[1]


def _pool_take(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    x, chosen = node.inputs
    live, first = _window(p, node["axes"], index, x.shape)
    wanted = p.vector(chosen, index, mask)

    def body(
        found: list[Value], places: list[Coord], carried: tuple[Value, ...]
    ) -> Sequence[Value]:
        tap_here = p.b.convert("trunc", _tap_number(p, node["axes"], found), "i32")
        here = p.b.compare("eq", wanted, p.spread(tap_here))
        value = p.vector(x, (*index[:first], *places, index[-1]), mask)
        return [p.b.select(here, value, carried[0])]

    return each_tap(p, live, [p.zero(node)], body)[0]


def _pool_scatter(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    y, chosen = node.inputs
    first = y.rank - 1 - len(node["axes"])
    live = [
        taps.backward(p.b, p.sizes, axis, c.base, length)
        for axis, c, length in zip(node["axes"], index[first:-1], y.shape[first:-1], strict=True)
    ]

    def body(
        found: list[Value], places: list[Coord], carried: tuple[Value, ...]
    ) -> Sequence[Value]:
        at = (*index[:first], *places, index[-1])
        tap_here = p.b.convert("trunc", _tap_number(p, node["axes"], found), "i32")
        here = p.b.compare("eq", p.vector(chosen, at, mask), p.spread(tap_here))
        more = p.b.op("fadd", carried[0], p.vector(y, at, mask))
        return [p.b.select(here, more, carried[0])]

    return each_tap(p, live, [p.zero(node)], body)[0]


WINDOWS: Mapping[str, Emission] = {
    "pool_max": _pool_max,
    "pool_argmax": _pool_argmax,
    "pool_take": _pool_take,
    "pool_scatter": _pool_scatter,
}

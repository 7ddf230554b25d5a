"""The emission of operations that move elements or make them from nothing, and of look-ups."""

from __future__ import annotations

from collections.abc import Mapping

from isoconv.codegen.elementwise import cast
from isoconv.codegen.emit import SCALARS, Value
from isoconv.codegen.functions import uniform
from isoconv.codegen.index import ZERO, Coord, Index
from isoconv.codegen.pull import Emission, Pull
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim


def _full(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    return p.b.const(SCALARS[node.dtype], node["value"])


def _size(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    return cast(p.b, p.sizes(node["dim"]), node.dtype)


def _coordinate(p: Pull, coord: Coord) -> Value:
    return coord.base if coord.uniform else p.lanes.vector(coord)


def _iota(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    return cast(p.b, _coordinate(p, index[node["axis"]]), node.dtype)


def _random(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    key = p.value(node.inputs[0], (), None)
    place = p.lanes.offset(index, p.strides(node.shape))
    counter = _coordinate(p, place)
    if counter.type.startswith("<"):
        key = p.spread(key)
    return uniform(p.b, key, counter, SCALARS[node.dtype])


# -- views ------------------------------------------------------------------------------------


def _reshape(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    """Only axes of size 1 come or go here; other reshapes are another name for a buffer."""
    (x,) = node.inputs
    kept = [c for dim, c in zip(node.shape, index, strict=True) if dim != 1]
    places = iter(kept)
    return p.value(x, tuple(ZERO if dim == 1 else next(places) for dim in x.shape), mask)


def _after(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    """Only the order of kernels hangs on it, which `plan` sees to."""
    return p.value(node.inputs[0], index, mask)


def _transpose(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    places = dict(zip(node["perm"], index, strict=True))
    return p.value(node.inputs[0], tuple(places[axis] for axis in range(len(index))), mask)


def _broadcast(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    (x,) = node.inputs
    return p.value(x, p.clip(x, index), mask)


def _reverse(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    places = [
        p.lanes.negate(c, p.sizes(dim - 1)) if axis in node["axes"] else c
        for axis, (c, dim) in enumerate(zip(index, node.shape, strict=True))
    ]
    return p.value(node.inputs[0], tuple(places), mask)


def _slice(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    places = [
        p.lanes.shift(p.lanes.scale(c, step), p.sizes(start))
        for c, start, step in zip(index, node["start"], node["step"], strict=True)
    ]
    return p.value(node.inputs[0], tuple(places), mask)


def _pad(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    (x,) = node.inputs
    inside: Value | None = None
    places = []
    for c, dim, low, high, interior in zip(
        index, x.shape, node["low"], node["high"], node["interior"], strict=True
    ):
        if low == 0 and high == 0 and interior == 0:
            places.append(c)
            continue
        place = p.lanes.shift(c, p.b.sub(p.b.i64(0), p.sizes(low)))
        if interior:
            inside = p.combine(
                inside, p.lanes.within(place, p.sizes((dim - 1) * (interior + 1) + 1))
            )
            place, exact = p.lanes.divide(place, interior + 1)
            inside = p.combine(inside, exact)
        else:
            inside = p.combine(inside, p.lanes.within(place, p.sizes(dim)))
        places.append(place)
    fill = p.b.const(SCALARS[node.dtype], node["value"])
    return _guarded(p, x, places, inside, mask, fill)


def _guarded(
    p: Pull, x: Node, places: list[Coord], inside: Value | None, mask: Value | None, fill: Value
) -> Value:
    """x at `places` where `inside` holds, else `fill`; nothing outside is read."""
    if inside is None:
        return p.value(x, tuple(places), mask)
    if inside.type == "i1":
        # A position of no meaning is moved to 0, which is always there.
        safe = [Coord(p.b.select(inside, c.base, p.b.i64(0)), c.step, c.vector) for c in places]
        return p.choose(inside, p.value(x, tuple(safe), mask), fill)
    lanes = inside if mask is None else p.b.op("and", inside, mask)
    return p.choose(inside, p.spread(p.value(x, tuple(places), lanes)), fill)


def _concat(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    axis = node["axis"]
    start: Dim = 0
    result: Value | None = None
    for x in node.inputs:
        place = p.lanes.shift(index[axis], p.b.sub(p.b.i64(0), p.sizes(start)))
        places = [*index[:axis], place, *index[axis + 1 :]]
        inside = p.lanes.within(place, p.sizes(x.shape[axis]))
        fill = p.b.const(SCALARS[node.dtype], 0) if result is None else result
        result = _guarded(p, x, places, inside, mask, fill)
        start = start + x.shape[axis]
    assert result is not None
    return result


# -- indexing ---------------------------------------------------------------------------------


def _gather(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    table, places = node.inputs
    row = cast(p.b, p.value(places, index[: places.rank], mask), "int64")
    rows = p.sizes(table.shape[0])
    limit = rows if row.type == "i64" else p.b.splat(rows, p.lanes.count)
    inside = p.b.compare("ult", row, limit)
    wrong = p.b.op("xor", inside, p.b.const(inside.type, 1))
    if mask is not None and wrong.type != "i1":
        wrong = p.b.op("and", wrong, mask)
    if wrong.type != "i1":
        name = f"llvm.vector.reduce.or.v{p.lanes.count}i1"
        wrong = p.b.call(name, "i1", wrong)
    with p.b.when(wrong):
        p.b.store(p.b.i64(1), p.status)
    safe = p.b.select(inside, row, p.b.const(row.type, 0))
    coord = Coord(safe) if safe.type == "i64" else p.lanes.of(safe)
    return p.value(table, (coord, *index[places.rank :]), mask)


VIEWS: Mapping[str, Emission] = {
    "full": _full,
    "size": _size,
    "iota": _iota,
    "random": _random,
    "reshape": _reshape,
    "after": _after,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "reverse": _reverse,
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "gather": _gather,
}

"""The value of any node at any position, as code: operands are pulled where they are needed.

One generator gives every operation at every rank, fused as deeply as the planner asks. Faster
kernels for the form stand beside it and give the same bits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from isoconv.codegen import taps
from isoconv.codegen.elementwise import apply, cast
from isoconv.codegen.emit import (
    SCALARS,
    SIZES,
    STORED,
    Builder,
    Value,
    element_type,
    lane_count,
    vector_type,
)
from isoconv.codegen.functions import uniform
from isoconv.codegen.index import ZERO, Coord, Index, Lanes, Sizes
from isoconv.errors import InternalError
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.ops import OPS
from isoconv.ir.sizes import Dim, Shape, number, product

# A sum is taken in blocks of this many terms, so that its error grows slowly; the blocks depend
# on nothing but positions, so that the bits do not depend on threads or vector width.
BLOCK = 256
# Windows of up to this many taps, all of them live, are written out.
_UNROLLED = 9


Body = Callable[[list[Value], tuple[Value, ...]], Sequence[Value]]


class Pull:
    """Emits the values of nodes for vectors of `lanes` elements.

    pointers: where the materialised nodes lie; status: the word that a failed check sets.
    """

    def __init__(
        self,
        b: Builder,
        sizes: Sizes,
        lanes: int,
        pointers: Mapping[Node, Value],
        status: Value,
    ) -> None:
        self.b = b
        self.sizes = sizes
        self.lanes = Lanes(b, lanes)
        self.pointers = pointers
        self.status = status
        # Values that the caller has computed itself, for the position it is working at.
        self.held: dict[Node, Value] = {}
        self._memo: dict[tuple[Node, Index, Value | None], Value] = {}

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Values computed inside (in a loop or a branch) are forgotten after it."""
        outer = dict(self._memo)
        try:
            yield
        finally:
            self._memo = outer

    def value(self, node: Node, index: Index, mask: Value | None = None) -> Value:
        """The node at `index`: a scalar where it is the same in all lanes, else a vector.

        mask: the lanes that matter (vector of i1); None for all.
        """
        if node in self.held:
            return self.held[node]
        key = (node, index, mask)
        if key not in self._memo:
            self._memo[key] = self._compute(node, index, mask)
        return self._memo[key]

    def vector(self, node: Node, index: Index, mask: Value | None = None) -> Value:
        """The node at `index` in every lane."""
        return self.spread(self.value(node, index, mask))

    def spread(self, value: Value) -> Value:
        if value.type.startswith("<") or self.lanes.count == 1:
            return value
        if not value.text.startswith(("%", "@")) and element_is_number(value):
            return Value(
                _repeat(value, self.lanes.count), vector_type(value.type, self.lanes.count)
            )
        return self.b.splat(value, self.lanes.count)

    def _compute(self, node: Node, index: Index, mask: Value | None) -> Value:
        if node in self.pointers:
            return self.load(self.pointers[node], node.shape, node.dtype, index, mask)
        if node.op == "cast":
            (x,) = node.inputs
            return cast(self.b, self.value(x, self._clip(x, index), mask), node.dtype)
        if OPS[node.op].kind == "elementwise":
            args = [self.value(x, self._clip(x, index), mask) for x in node.inputs]
            if any(lane_count(arg.type) > 1 for arg in args):
                args = [self.spread(arg) for arg in args]
            return apply(self.b, node.op, args)
        if node.op not in EMISSION:
            raise InternalError(f"no emission for the operation {node.op}")
        return EMISSION[node.op](self, node, index, mask)

    @staticmethod
    def _clip(node: Node, index: Index) -> Index:
        """The position in an operand whose axes of size 1 are repeated."""
        return tuple(ZERO if dim == 1 else c for dim, c in zip(node.shape, index, strict=True))

    # -- memory ---------------------------------------------------------------------------

    def strides(self, shape: Shape) -> list[Value]:
        return [self.sizes(product(shape[axis + 1 :])) for axis in range(len(shape))]

    def load(
        self, base: Value, shape: Shape, dtype: str, index: Index, mask: Value | None
    ) -> Value:
        """An element, or a vector of them, of a contiguous tensor at `base`."""
        place = self.lanes.offset(self._within(shape, index), self.strides(shape))
        stored, count = STORED[dtype], self.lanes.count
        type_ = vector_type(stored, count)
        if place.uniform:
            value = self.b.load(self.b.at(base, place.base, stored), stored)
        elif place.vector is None and place.step == 1:
            address = self.b.at(base, place.base, stored)
            value = (
                self.b.load(address, type_)
                if mask is None
                else self.b.load_masked(address, type_, mask)
            )
        else:
            value = self._gather(base, stored, self.lanes.vector(place), mask)
        if dtype == "bool":
            return self.b.compare("ne", value, self.b.const(value.type, 0))
        return value

    @staticmethod
    def _within(shape: Shape, index: Index) -> Index:
        return tuple(ZERO if dim == 1 else c for dim, c in zip(shape, index, strict=True))

    def _gather(self, base: Value, stored: str, offsets: Value, mask: Value | None) -> Value:
        b, count = self.b, self.lanes.count
        type_ = vector_type(stored, count)
        pointers = b.emit(f"<{count} x ptr>", f"getelementptr {stored}, {base}, {offsets}")
        if mask is None:
            mask = b.const(f"<{count} x i1>", 1)
        zero = b.const(type_, 0)
        name = f"llvm.masked.gather.v{count}{_short(stored)}.v{count}p0"
        b.declared[name] = f"declare {type_} @{name}(<{count} x ptr>, <{count} x i1>, {type_})"
        align = SIZES[stored]
        args = f"<{count} x ptr> align {align} {pointers.text}, {mask}, {zero}"
        return b.emit(type_, f"call {type_} @{name}({args})")

    def store(
        self, value: Value, base: Value, node: Node, index: Index, mask: Value | None
    ) -> None:
        """Writes the node's value at `index`, whose lanes lie side by side."""
        place = self.lanes.offset(index, self.strides(node.shape))
        stored = STORED[node.dtype]
        value = self.spread(value)
        if node.dtype == "bool":
            value = self.b.convert("zext", value, "i8")
        address = self.b.at(base, place.base, stored)
        if mask is None:
            self.b.store(value, address)
        else:
            self.b.store_masked(value, address, mask)

    # -- loops ----------------------------------------------------------------------------

    def nest(
        self,
        counts: Sequence[Value],
        carried: Sequence[Value],
        body: Body,
    ) -> tuple[Value, ...]:
        """Nested loops 0..count-1 that carry values; `body(indices, carried) -> carried`."""
        if not counts:
            return tuple(body([], tuple(carried)))
        if counts[0].text == "1":
            return self.nest(counts[1:], carried, _at(self.b.i64(0), body))
        with self.scope(), self.b.loop(0, counts[0], carried=carried) as loop:
            loop.next = self.nest(counts[1:], loop.carried, _at(loop.index, body))
        return loop.results

    def combine(self, left: Value | None, right: Value) -> Value:
        """Both conditions, where either may be one i1 or one a lane."""
        if left is None:
            return right
        if lane_count(left.type) != lane_count(right.type):
            left, right = (
                side if side.type.startswith("<") else self.b.splat(side, self.lanes.count)
                for side in (left, right)
            )
        return self.b.op("and", left, right)

    def choose(self, condition: Value, yes: Value, no: Value) -> Value:
        """select, with operands of one lane repeated where needed."""
        if any(v.type.startswith("<") for v in (condition, yes, no)):
            yes, no = self.spread(yes), self.spread(no)
        return self.b.select(condition, yes, no)

    def zero(self, node: Node, number: float = 0) -> Value:
        return self.b.const(vector_type(SCALARS[node.dtype], self.lanes.count), number)


def _at(index: Value, body: Body) -> Body:
    """The body of the inner loops, at one index of the outer one."""
    return lambda rest, carried: body([index, *rest], carried)


def element_is_number(value: Value) -> bool:
    return not value.type.startswith("<") and value.text != "zeroinitializer"


def _repeat(value: Value, count: int) -> str:
    return "<" + ", ".join([f"{value.type} {value.text}"] * count) + ">"


def _short(stored: str) -> str:
    return {"float": "f32", "double": "f64"}.get(stored, stored)


# -- leaves -----------------------------------------------------------------------------------


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


def _transpose(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    places = dict(zip(node["perm"], index, strict=True))
    return p.value(node.inputs[0], tuple(places[axis] for axis in range(len(index))), mask)


def _broadcast(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    (x,) = node.inputs
    return p.value(x, p._clip(x, index), mask)


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


# -- windows ----------------------------------------------------------------------------------


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


def _each_tap(
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


def _larger(p: Pull, value: Value, best: Value) -> Value:
    """Whether a value beats the best so far; NaN beats every number, and the first one stays."""
    if element_type(value.type) not in ("float", "double"):
        return p.b.compare("sgt", value, best)
    above = p.b.compare("ugt", value, best)
    ordered = p.b.compare("ord", best, best)
    return p.b.op("and", above, ordered)


def lowest(node: Node) -> float:
    """What every value of a dtype is at least."""
    return {"int32": -(2**31), "int64": -(2**63)}.get(node.dtype, float("-inf"))


def _pool(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    (x,) = node.inputs
    live, first = _window(p, node["axes"], index, x.shape)
    none = p.b.const(vector_type("i32", p.lanes.count), -1)

    def body(
        found: list[Value], places: list[Coord], carried: tuple[Value, ...]
    ) -> Sequence[Value]:
        best, tap = carried
        value = p.vector(x, (*index[:first], *places, index[-1]), mask)
        better = p.b.op("or", _larger(p, value, best), p.b.compare("eq", tap, none))
        tap_here = p.b.convert("trunc", _tap_number(p, node["axes"], found), "i32")
        return (
            p.b.select(better, value, best),
            p.b.select(better, p.spread(tap_here), tap),
        )

    best, tap = _each_tap(p, live, [p.zero(x, lowest(x)), none], body)
    return best if node.op == "pool_max" else tap


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

    return _each_tap(p, live, [p.zero(node)], body)[0]


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

    return _each_tap(p, live, [p.zero(node)], body)[0]


# -- the form ---------------------------------------------------------------------------------


def _conv(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
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

    return _each_tap(p, live, [p.zero(node)], body)[0]


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


def blocked(
    p: Pull,
    counts: Sequence[Value],
    zero: Value,
    term: Callable[[list[Value], tuple[Value, ...]], Sequence[Value]],
    join: Callable[[Value, Value], Value],
    begin: Value = ZERO.base,
) -> Value:
    """A reduction over nested axes, the last one from `begin` on and in blocks, which end at
    multiples of BLOCK and whose results are joined in order.
    """
    if not counts:
        return term([], (zero,))[0]
    last = counts[-1]
    start = p.b.mul(p.b.floordiv(begin, BLOCK), BLOCK)

    def outer(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
        with p.scope(), p.b.loop(start, last, step=BLOCK, carried=carried) as blocks:
            end = p.b.minimum(p.b.add(blocks.index, BLOCK), last)
            first = p.b.maximum(blocks.index, begin)
            with p.scope(), p.b.loop(first, end, carried=[zero]) as inner:
                inner.next = tuple(term([*numbers, inner.index], inner.carried))
            blocks.next = (join(blocks.carried[0], inner.results[0]),)
        return blocks.results

    return p.nest(counts[:-1], [zero], outer)[0]


# -- reductions over axes that are not the lanes' ----------------------------------------------


def _reduce(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    (x,) = node.inputs
    axes = node["axes"]
    counts = [p.sizes(x.shape[axis]) for axis in axes]

    def place(numbers: list[Value]) -> Index:
        given = dict(zip(axes, numbers, strict=True))
        return tuple(Coord(given[i]) if i in given else c for i, c in enumerate(index))

    def value(numbers: list[Value]) -> Value:
        return p.vector(x, place(numbers), mask)

    if node.op == "reduce_max":
        return p.nest(
            counts, [p.zero(node, lowest(node))], lambda n, c: [larger(p, value(n), c[0])]
        )[0]
    name = "fadd" if node.dtype.startswith("float") else "add"
    return blocked(
        p,
        counts,
        p.zero(node),
        lambda numbers, carried: [p.b.op(name, carried[0], value(numbers))],
        lambda total, part: p.b.op(name, total, part),
    )


def larger(p: Pull, value: Value, best: Value) -> Value:
    return p.b.select(_larger(p, value, best), value, best)


def _argmax(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    (x,) = node.inputs
    axis = node["axis"]
    start = [p.zero(x, lowest(x)), p.zero(node, -1)]

    def body(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
        best, where = carried
        value = p.vector(x, (*index[:axis], Coord(numbers[0]), *index[axis + 1 :]), mask)
        unset = p.b.compare("slt", where, p.zero(node))
        better = p.b.op("or", _larger(p, value, best), unset)
        place = p.spread(p.b.convert("trunc", numbers[0], "i32"))
        return [p.b.select(better, value, best), p.b.select(better, place, where)]

    return p.nest([p.sizes(x.shape[axis])], start, body)[1]


EMISSION: dict[str, Callable[[Pull, Node, Index, Value | None], Value]] = {
    "full": _full,
    "size": _size,
    "iota": _iota,
    "random": _random,
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "reverse": _reverse,
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "gather": _gather,
    "pool_max": _pool,
    "pool_argmax": _pool,
    "pool_take": _pool_take,
    "pool_scatter": _pool_scatter,
    "conv": _conv,
    "reduce_sum": _reduce,
    "reduce_max": _reduce,
    "argmax": _argmax,
}

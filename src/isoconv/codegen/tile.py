"""The form's faces y and x as products of register tiles, the input read in place.

Rows of a tile are outputs that meet the same taps, along the last two axes of places: each has a
pointer to its window, so no im2col is needed and small images fill tiles. Every output is one chain
of fused multiply-adds over ascending input positions and channels, whatever the tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import gcd

from isoconv.codegen import taps
from isoconv.codegen.edges import Bounds, blocks, bounds, segments, tiles
from isoconv.codegen.emit import SCALARS, Builder, Value, vector_type
from isoconv.codegen.frame import Frame
from isoconv.codegen.index import Coord, Index, Sizes
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim, ceildiv, maximum, number, product
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine
from isoconv.plan.tiles import Panel, block, panels

_UNROLL = 4
# These ask where they stand.
_PLACED = ("iota", "reverse", "slice", "pad", "concat", "transpose")
# Sums of at most so many terms are short: rows are not folded where one in _IDLE at most is idle.
_SHORT, _IDLE = 64, 4
# Those that are folded are so few at once that their pointers have registers.
_FEW = 6


@dataclass(frozen=True)
class Form:
    """A form to be solved, seen as sums over taps and channels of one data tensor.

    summed: channels each output sums over; filters: outputs of one group; axes: one for each
    dimension but the last, those of the batch being windows of one tap.
    """

    node: Node
    data: Node
    weights: Node
    forward: bool
    summed: int
    filters: int
    axes: tuple[Axis, ...]

    @property
    def data_width(self) -> int:
        """Channels of the data: elements from one position to the next."""
        return number(self.data.shape[-1])

    @property
    def weight_width(self) -> int:
        """Elements from one row of the weights to the next."""
        return number(self.weights.shape[-1])

    @property
    def inner(self) -> Axis:
        return self.axes[-1]

    @property
    def terms(self) -> int:
        """Products that an output sums at most."""
        return number(product(self.weights.shape[:-1]))

    def phases(self, axis: Axis) -> int:
        """Outputs of different phase meet different taps: as many as the stride, for the face x."""
        return 1 if self.forward else axis.stride

    def taps(self, b: Builder, sizes: Sizes, dim: int, output: Value) -> taps.Taps:
        """The live taps of an output position along one dimension."""
        axis = self.axes[dim]
        find = taps.forward if self.forward or axis == Axis(1) else taps.backward
        return find(b, sizes, axis, output, self.data.shape[dim])


def form(node: Node) -> Form:
    """The face y, or the face x with its weights stored [k..., f, g*c], as a `Form`."""
    forward = node["face"] == "y"
    data, weights = node.inputs if forward else (node.inputs[1], node.inputs[0])
    filters = number(weights.shape[-1]) // node["groups"]
    batch = (Axis(1),) * (node.rank - 1 - len(node["axes"]))
    axes = (*batch, *node["axes"])
    return Form(node, data, weights, forward, number(weights.shape[-2]), filters, axes)


@dataclass(frozen=True)
class Sharing:
    """How outputs are shared out: blocks of rows along the last two axes of places.

    shape: the tasks; across, along: rows of a task on the last but one axis, and on the last.
    """

    shape: tuple[Dim, ...]
    across: Dim
    along: Dim


def sharing(form: Form, machine: Machine) -> Sharing:
    """The tasks: places before the last two axes, blocks along these, panels of filters (all of
    them in one task where groups share the input's lines).
    """
    node = form.node
    each = panels(form.filters, node.dtype, machine)
    columns = sum(panel.count for panel in each) if node["groups"] == 1 else 1
    *outer, last = (
        ceildiv(dim, form.phases(axis))
        for dim, axis in zip(node.shape[:-1], form.axes, strict=True)
    )
    deep = max(panel.rows for panel in each)
    rows = block(product((*outer, last)) * columns, deep)
    blocks = ceildiv(maximum(last, 1), rows)
    along = ceildiv(ceildiv(last, blocks), deep) * deep
    if not outer:
        return Sharing((blocks, columns), 1, along)
    across = maximum(rows // maximum(last, 1), 1)
    return Sharing((*node.shape[:-3], ceildiv(outer[-1], across), blocks, columns), across, along)


def tasks(node: Node, machine: Machine) -> Dim:
    """How many tasks the kernel of a form splits into."""
    return product(sharing(form(node), machine).shape)


@dataclass(frozen=True)
class Phase:
    """Rows t of one phase of an axis: output t * out_step + out_start, data from
    t * step + start on, `reach` positions beyond that.
    """

    out_start: Value
    out_step: int
    step: int
    start: Value
    reach: Value
    rows: Value


@dataclass(frozen=True)
class Run:
    """Rows of one phase of an axis from `first` on, `count` of them, that meet the same taps."""

    phase: Phase
    first: Value
    count: Value
    live: taps.Taps

    def output(self, b: Builder, row: Value) -> Value:
        """The output position of a row of the run."""
        phase = self.phase
        return b.add(phase.out_start, b.mul(b.add(self.first, row), phase.out_step))


def _unrolled(length: int | None) -> int:
    """Steps written out in a loop of `length` steps: as many as divide it, if a few do."""
    if length is None:
        return _UNROLL
    return next((u for u in (_UNROLL, 5, 6, 7, 3, 2) if length % u == 0), min(length, _UNROLL))


def emit(kernel: Kernel, machine: Machine) -> str:
    """The kernel of one form with its epilogue."""
    return _Tile(kernel, machine).text()


class _Tile:
    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        anchor = kernel.anchor
        assert anchor is not None
        self.frame = Frame(kernel, machine)
        self.b: Builder = self.frame.b
        self.node = anchor
        self.root = kernel.graph.outputs[0]
        self.form = form(anchor)
        self.lanes = machine.lanes(anchor.dtype)
        self.pull = self.frame.pull(self.lanes)
        self.scalar = SCALARS[anchor.dtype]
        self.vector = vector_type(self.scalar, self.lanes)
        self.panels = panels(self.form.filters, anchor.dtype, machine)
        self.sharing = sharing(self.form, machine)
        self.sizes = self.frame.sizes
        inner = self.form.inner
        # Windows of one tap after another lie side by side where nothing comes between them.
        self.merged = self.form.forward and inner.dilation == 1 and anchor["groups"] == 1

    @cached_property
    def foldable(self) -> bool:
        """Whether the epilogue is the same wherever on the last two axes of places it stands."""
        graph = self.frame.kernel.graph
        others = [n for n in graph.nodes if n.rank == self.node.rank and n not in self.node.inputs]
        whole, one = self.node.shape[-3:-1], (1, 1)
        return all(n.shape[-3:-1] in (whole, one) and n.op not in _PLACED for n in others)

    def text(self) -> str:
        frame, b, form, last = self.frame, self.b, self.form, len(self.form.axes) - 1
        with frame.rows(self.sharing.shape, frame.begin, frame.end) as row, self.pull.scope():
            places, column = row[: max(last - 1, 0)], row[-1].base
            outer = [form.taps(b, self.sizes, dim, c.base) for dim, c in enumerate(places)]
            with self._runs(last, row[-2].base, self.sharing.along) as along:
                if last == 0:
                    self._work(column, places, [], None, along)
                else:
                    with self._runs(last - 1, row[-3].base, self.sharing.across) as across:
                        self._work(column, places, outer, across, along)
        return frame.text()

    def _work(
        self,
        column: Value,
        places: Sequence[Coord],
        outer: Sequence[taps.Taps],
        across: Run | None,
        along: Run,
    ) -> None:
        for panel, filter_, channel in self._panels(column):
            _Work(self, panel, filter_, channel, places, outer, across, along).rows()

    # -- where things are -------------------------------------------------------------------

    @contextmanager
    def _runs(self, dim: int, piece: Value, each: Dim) -> Iterator[Run]:
        """The rows of a task along one dimension, phase by phase and by the taps that they meet."""
        b, phases = self.b, self.form.phases(self.form.axes[dim])
        with b.loop(0, phases, at_least_once=True) as loop:
            phase = self._phase(dim, b.i64(0) if phases == 1 else loop.index)
            first = b.mul(piece, self.sizes(each))
            last = b.minimum(b.add(first, self.sizes(each)), phase.rows)
            with segments(b, self._bounds(dim, phase, first, last)) as (start, end):
                output = b.add(phase.out_start, b.mul(start, phase.out_step))
                live = self.form.taps(b, self.sizes, dim, output)
                yield Run(phase, start, b.sub(end, start), live)

    def _phase(self, dim: int, which: Value) -> Phase:
        b, axis = self.b, self.form.axes[dim]
        length = self.sizes(self.node.shape[dim])
        if self.form.forward:
            start = b.sub(b.i64(0), self.sizes(axis.low))
            return Phase(b.i64(0), 1, axis.stride, start, b.i64(axis.span - 1), length)
        stride = axis.stride
        step = stride // gcd(stride, axis.dilation)
        origin = b.add(which, self.sizes(axis.low))
        first = taps.first_live(b, axis, origin)
        count = b.floordiv(b.add(b.sub(b.i64(axis.taps), first), step - 1), step)
        tap = b.add(first, b.mul(b.sub(count, 1), step))
        start = b.floordiv(b.sub(origin, b.mul(tap, axis.dilation)), stride)
        rows = b.floordiv(b.add(b.sub(length, which), stride - 1), stride)
        reach = b.mul(b.sub(count, 1), step * axis.dilation // stride)
        return Phase(which, stride, 1, start, reach, rows)

    def _bounds(self, dim: int, phase: Phase, first: Value, last: Value) -> Bounds:
        axis = self.form.axes[dim]
        if axis == Axis(1) or (self.form.forward and axis.low == 0 and axis.high == 0):
            return Bounds(first, last, first, last)
        length = self.sizes(self.form.data.shape[dim])
        return bounds(self.b, first, last, phase.start, phase.step, phase.reach, length)

    # -- loops over filters -------------------------------------------------------------------

    def _panels(self, column: Value) -> Iterator[tuple[Panel, Value, Value]]:
        """The panels of a task, each with its first filter and its first input channel.

        What a caller does with one is emitted inside the loop or branch that chooses it.
        """
        b, form, groups = self.b, self.form, self.node["groups"]
        if groups > 1:
            with b.loop(0, groups, at_least_once=True) as group:
                channel = b.mul(group.index, form.summed)
                base = b.mul(group.index, form.filters)
                for panel in self.panels:
                    with b.loop(0, panel.count, at_least_once=True) as loop:
                        start = b.add(b.mul(loop.index, panel.width), panel.start)
                        yield panel, b.add(base, start), channel
            return
        before = 0
        for panel in self.panels:
            which = b.sub(column, before)
            filter_ = b.add(b.mul(which, panel.width), panel.start)
            if len(self.panels) == 1:
                yield panel, filter_, b.i64(0)
                return
            with b.when(b.compare("ult", which, b.i64(panel.count))), self.pull.scope():
                yield panel, filter_, b.i64(0)
            before += panel.count


@dataclass(frozen=True)
class _Row:
    """One row of a tile: its place in the output, and where its window begins, relative to that of
    the run's first row: an offset known at run time and a constant one.
    """

    index: Index
    window: Value
    offset: int


@dataclass
class _Work:
    """One panel of filters over rows that meet the same taps; across: None for one axis of rows."""

    tile: _Tile
    panel: Panel
    filter: Value
    channel: Value
    places: Sequence[Coord]
    outer: Sequence[taps.Taps]
    across: Run | None
    along: Run

    def rows(self) -> None:
        """Tiles over all the rows; one row at a time where they are too few for a tile."""
        tile, b, deep, along = self.tile, self.tile.b, self.panel.rows, self.along
        if self.across is None:
            blocks(tile.pull, along.count, deep, lambda at, deep: self._tile(self._line(at, deep)))
            return
        lines = self.across.count
        if tile.foldable:
            # Rows of one line need no pointers; where sums are short, that is worth some idle rows.
            idle = b.sub(b.mul(b.floordiv(b.add(along.count, deep - 1), deep), deep), along.count)
            most = b.select(b.compare("sge", along.count, b.i64(deep)), along.count, b.i64(-1))
            alone = b.compare("sle", b.mul(idle, _IDLE), most)
            folded = b.mul(lines, along.count)
            few = deep
            if tile.form.terms <= _SHORT:
                folded, few = b.select(alone, b.i64(0), folded), min(deep, _FEW)
            blocks(tile.pull, folded, few, lambda at, deep: self._tile(self._fold(at, deep)))
            if tile.form.terms > _SHORT:
                return
            lines = b.select(alone, lines, b.i64(0))
        with b.loop(0, lines) as loop, tile.pull.scope():
            cover = tiles if tile.foldable else blocks
            cover(
                tile.pull,
                along.count,
                deep,
                lambda at, deep: self._tile(self._line(at, deep, loop.index)),
            )

    def _tile(self, rows: Sequence[_Row]) -> None:
        totals = self._sum(rows)
        for r, row in enumerate(rows):
            self._finish(row.index, totals[r * self.panel.vectors : (r + 1) * self.panel.vectors])

    def _line(self, at: Value, deep: int, across: Value | None = None) -> list[_Row]:
        """The rows of a tile that begins with row `at` of one line, a constant step apart."""
        tile, b, along = self.tile, self.tile.b, self.along
        step = along.phase.step * tile.form.data_width
        start = b.mul(at, step)
        place: Index = ()
        if self.across is not None and across is not None:
            start = b.add(start, b.mul(across, self._down(self.across)))
            place = (Coord(self.across.output(b, across)),)
        output = along.output(b, at)
        return [
            _Row((*place, Coord(b.add(output, r * along.phase.out_step))), start, r * step)
            for r in range(deep)
        ]

    def _fold(self, at: Value, deep: int) -> list[_Row]:
        """The rows of a tile that begins with row `at` of all lines, one after the other.

        Their places are counted along the first line and on: nothing asks which line they are in.
        """
        tile, b, along, across = self.tile, self.tile.b, self.along, self.across
        assert across is not None
        i = b.emit("i64", f"udiv {at}, {b.maximum(along.count, 1).text}")
        j = b.sub(at, b.mul(i, along.count))
        step, out_step = along.phase.step * tile.form.data_width, along.phase.out_step
        down = self._down(across)
        out_down = b.mul(tile.sizes(tile.node.shape[-2]), across.phase.out_step)
        window = b.add(b.mul(i, down), b.mul(j, step))
        output = b.add(along.output(b, j), b.mul(i, out_down))
        back = b.sub(along.count, 1)
        wrap, out_wrap = b.sub(down, b.mul(back, step)), b.sub(out_down, b.mul(back, out_step))
        place = Coord(across.output(b, b.i64(0)))
        rows = [_Row((place, Coord(output)), window, 0)]
        for _ in range(1, deep):
            j = b.add(j, 1)
            ends = b.compare("eq", j, along.count)
            j = b.select(ends, b.i64(0), j)
            window = b.add(window, b.select(ends, wrap, b.i64(step)))
            output = b.add(output, b.select(ends, out_wrap, b.i64(out_step)))
            rows.append(_Row((place, Coord(output)), window, 0))
        return rows

    def _down(self, across: Run) -> Value:
        """Elements of the data from one line of rows to the next."""
        form = self.tile.form
        line = self.tile.sizes(form.data.shape[-2] * form.data_width)
        return self.tile.b.mul(line, across.phase.step)

    # -- the sum ------------------------------------------------------------------------------

    def _sum(self, rows: Sequence[_Row]) -> Sequence[Value]:
        """The accumulators of some rows: all taps of the outer axes, then of the inner one."""
        tile, b, form = self.tile, self.tile.b, self.tile.form
        totals = [b.const(tile.vector, 0)] * (len(rows) * self.panel.vectors)
        live = self.along.live
        outer = [*self.outer, *([] if self.across is None else [self.across.live])]

        def lines(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
            data, weights = self._start(outer, numbers)
            if tile.merged:
                length = b.mul(live.count, form.summed)
                return self._run(rows, data, weights, length, carried)
            data_step = live.place_step * form.data_width
            weight_step = live.tap_step * form.summed * form.weight_width

            def inner(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
                (j,) = numbers
                x = b.at(data, b.mul(j, data_step), tile.scalar)
                w = b.at(weights, b.mul(j, weight_step), tile.scalar)
                return self._run(rows, x, w, b.i64(form.summed), carried)

            return tile.pull.nest([live.count], carried, inner)

        return tile.pull.nest([t.count for t in outer], totals, lines)

    def _start(self, outer: Sequence[taps.Taps], numbers: Sequence[Value]) -> tuple[Value, Value]:
        """Where data and weights of the first inner tap begin, for the first row of the run."""
        tile, b, form = self.tile, self.tile.b, self.tile.form
        places = [
            Coord(b.add(t.place, b.mul(j, t.place_step)))
            for t, j in zip(outer, numbers, strict=True)
        ]
        index = (*places, Coord(self.along.live.place), Coord(self.channel))
        offset = tile.pull.lanes.offset(index, tile.pull.strides(form.data.shape)).base
        chosen = b.i64(0)
        for axis, t, j in zip(form.axes[:-1], outer, numbers, strict=True):
            found = b.add(t.tap, b.mul(j, t.tap_step))
            chosen = b.add(b.mul(chosen, axis.taps), found)
        chosen = b.add(b.mul(chosen, form.inner.taps), self.along.live.tap)
        row = b.mul(chosen, form.summed * form.weight_width)
        pointers = tile.frame.pointers
        return (
            b.at(pointers[form.data], offset, tile.scalar),
            b.at(pointers[form.weights], b.add(row, self.filter), tile.scalar),
        )

    def _run(
        self,
        rows: Sequence[_Row],
        data: Value,
        weights: Value,
        length: Value,
        totals: Sequence[Value],
    ) -> Sequence[Value]:
        """Adds `length` products, side by side in the data and row by row in the weights."""
        b = self.tile.b
        pointers = self._pointers(data, rows)
        known = int(length.text) if length.text.isdigit() else None
        unroll = _unrolled(known)
        whole = b.mul(b.floordiv(length, unroll), unroll)
        sums: Sequence[Value] = totals
        if whole.text != "0":
            with b.loop(
                0, whole, step=unroll, carried=sums, at_least_once=known is not None
            ) as loop:
                sums = loop.carried
                if self.tile.form.terms > _SHORT:
                    self._fetch(pointers, loop.index)
                for u in range(unroll):
                    sums = self._step(pointers, weights, loop.index, u, sums)
                loop.next = tuple(sums)
            sums = loop.results
        if whole.text == length.text or (known is None and self.tile.form.summed % unroll == 0):
            return sums
        # In a loop even if known: LLVM spills where straight-line products meet the epilogue.
        with b.loop(whole, length, carried=sums) as loop:
            loop.next = tuple(self._step(pointers, weights, loop.index, 0, loop.carried))
        return loop.results

    def _pointers(self, data: Value, rows: Sequence[_Row]) -> list[tuple[Value, int]]:
        """A pointer and a constant offset for each row, for windows that begin at `data`.

        Rows that share elements within an unrolled step get pointers of their own, opaque to LLVM:
        it would merge their loads, keep them in registers and spill.
        """
        b, scalar = self.tile.b, self.tile.scalar
        # Opaque as well: LLVM is slow to see through nested loops of addresses.
        first = b.opaque(b.at(data, rows[0].window, scalar))
        steps = {row.offset - before.offset for before, row in pairwise(rows)}
        if all(step >= _UNROLL for step in steps):
            return [(first, row.offset) for row in rows]
        return [
            (b.opaque(b.at(b.at(data, row.window, scalar), row.offset, scalar)), 0) for row in rows
        ]

    def _fetch(self, rows: Sequence[tuple[Value, int]], index: Value) -> None:
        """Asks for what the next tile reads: processors foresee no streams as short as these."""
        b, scalar = self.tile.b, self.tile.scalar
        ahead = len(rows) * self.along.phase.step * self.tile.form.data_width
        for pointer, offset in rows:
            b.prefetch(b.at(b.at(pointer, index, scalar), offset + ahead, scalar))

    def _step(
        self,
        rows: Sequence[tuple[Value, int]],
        weights: Value,
        index: Value,
        unrolled: int,
        sums: Sequence[Value],
    ) -> list[Value]:
        """One product an accumulator."""
        tile, b, vectors = self.tile, self.tile.b, self.panel.vectors
        filters = tile.form.weight_width
        row = b.at(weights, b.mul(index, filters), tile.scalar)
        loaded = [
            self._load_weights(b.at(row, unrolled * filters + v * tile.lanes, tile.scalar), v)
            for v in range(vectors)
        ]
        result = []
        for r, (pointer, offset) in enumerate(rows):
            element = b.at(b.at(pointer, index, tile.scalar), offset + unrolled, tile.scalar)
            x = b.splat(b.load(element, tile.scalar), tile.lanes)
            for v in range(vectors):
                result.append(b.fma(x, loaded[v], sums[r * vectors + v]))
        return result

    def _mask(self, vector: int) -> Value | None:
        """The filters of a vector that exist; None for all."""
        lanes = self.tile.lanes
        left = self.panel.width - vector * lanes
        if left >= lanes:
            return None
        bits = ", ".join(f"i1 {str(lane < left).lower()}" for lane in range(lanes))
        return Value(f"<{bits}>", f"<{lanes} x i1>")

    def _load_weights(self, address: Value, vector: int) -> Value:
        mask = self._mask(vector)
        if mask is None:
            return self.tile.b.load(address, self.tile.vector)
        return self.tile.b.load_masked(address, self.tile.vector, mask)

    # -- the epilogue -------------------------------------------------------------------------

    def _finish(self, place: Index, totals: Sequence[Value]) -> None:
        tile, b = self.tile, self.tile.b
        pull = tile.pull
        for v, total in enumerate(totals):
            filter_ = Coord(b.add(self.filter, v * tile.lanes), 1)
            index = (*self.places, *place, filter_)
            mask = self._mask(v)
            pull.held[tile.node] = total
            # What is computed of one row must not stand for another, whose place may differ only
            # on an axis of size 1 along which rows are counted.
            with pull.scope():
                value = pull.value(tile.root, index, mask)
                pull.store(value, tile.frame.targets[0], tile.root, index, mask)
        del pull.held[tile.node]

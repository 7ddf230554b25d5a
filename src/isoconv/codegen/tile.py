"""The form's faces y and x as products of register tiles, the input read in place.

Rows of a tile are neighbouring outputs along the last spatial axis: with channels last their
windows lie a constant step apart, so no im2col is needed. Every output is one chain of fused
multiply-adds over ascending input positions and channels, whatever the tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd

from isoconv.codegen import taps
from isoconv.codegen.edges import Bounds, bounds, cover
from isoconv.codegen.emit import SCALARS, Builder, Value, vector_type
from isoconv.codegen.frame import Frame
from isoconv.codegen.index import Coord
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim, ceildiv, number, product
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine
from isoconv.plan.tiles import Panel, block, panels

_UNROLL = 4


@dataclass(frozen=True)
class Form:
    """A form to be solved, seen as sums over taps and channels of one data tensor.

    summed: channels each output sums over; filters: outputs of one group; first: where the
    spatial axes begin.
    """

    node: Node
    data: Node
    weights: Node
    forward: bool
    summed: int
    filters: int
    first: int

    @property
    def axes(self) -> tuple[Axis, ...]:
        axes: tuple[Axis, ...] = self.node["axes"]
        return axes

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
        return self.axes[-1] if self.axes else Axis(1)


def form(node: Node) -> Form:
    """The face y, or the face x with its weights stored [k..., f, g*c], as a `Form`."""
    forward = node["face"] == "y"
    data, weights = node.inputs if forward else (node.inputs[1], node.inputs[0])
    first = node.rank - 1 - len(node["axes"])
    filters = number(weights.shape[-1]) // node["groups"]
    if not node["axes"]:
        first -= 1
    return Form(node, data, weights, forward, number(weights.shape[-2]), filters, first)


def phases(form: Form) -> int:
    """Outputs of different phase meet different taps: as many as the stride, for the face x."""
    return 1 if form.forward else form.inner.stride


def row_shape(form: Form, machine: Machine) -> tuple[Dim, ...]:
    """The tasks: every place before the last spatial axis, times blocks of rows along it, times
    panels of filters (all of them in one task where groups share the input's lines).
    """
    shape, node = form.node.shape, form.node
    each = panels(form.filters, node.dtype, machine)
    columns = sum(panel.count for panel in each) if node["groups"] == 1 else 1
    rows = block(node, form.filters, machine)
    return (*shape[:-2], ceildiv(ceildiv(shape[-2], phases(form)), rows), columns)


def tasks(node: Node, machine: Machine) -> Dim:
    """How many tasks the kernel of a form splits into."""
    return product(row_shape(form(node), machine))


@dataclass(frozen=True)
class Phase:
    """Rows t of one phase: output t * out_step + out_start, data from t * step + start on.

    count taps in ascending input order: tap + j * tap_step at place + j * place_step.
    """

    out_start: Value
    out_step: int
    step: int
    start: Value
    count: Value
    tap: Value
    tap_step: int
    place_step: int
    rows: Value


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
        self.block = block(anchor, self.form.filters, machine)
        self.sizes = self.frame.sizes
        self.tasks = row_shape(self.form, machine)
        inner = self.form.inner
        # Windows of one tap after another lie side by side where nothing comes between them.
        self.merged = self.form.forward and inner.dilation == 1 and anchor["groups"] == 1

    def text(self) -> str:
        frame, b = self.frame, self.b
        with frame.rows(self.tasks, frame.begin, frame.end) as row, self.pull.scope():
            places, piece, column = row[:-2], row[-2].base, row[-1].base
            outer = self._outer_taps(places)
            count = phases(self.form)
            with b.loop(0, count, at_least_once=True) as loop:
                which = b.i64(0) if count == 1 else loop.index
                phase = self._phase(which)
                first = b.mul(piece, self.block)
                last = b.minimum(b.add(first, self.block), phase.rows)
                rows = self._bounds(phase, first, last)
                for panel, filter_, channel in self._panels(column):
                    _Work(self, panel, filter_, channel, places, outer).rows(phase, rows)
        return frame.text()

    # -- where things are -------------------------------------------------------------------

    def _outer_taps(self, places: Sequence[Coord]) -> list[taps.Taps]:
        form = self.form
        find = taps.forward if form.forward else taps.backward
        axes = form.axes[:-1]
        spatial = places[form.first :] if axes else ()
        return [
            find(self.b, self.sizes, axis, c.base, form.data.shape[form.first + i])
            for i, (axis, c) in enumerate(zip(axes, spatial, strict=True))
        ]

    def _phase(self, which: Value) -> Phase:
        b, form, axis = self.b, self.form, self.form.inner
        length = self.sizes(self.node.shape[-2])
        if form.forward:
            start = b.sub(b.i64(0), self.sizes(axis.low))
            count = b.i64(axis.taps)
            return Phase(b.i64(0), 1, axis.stride, start, count, b.i64(0), 1, axis.dilation, length)
        stride = axis.stride
        step = stride // gcd(stride, axis.dilation)
        origin = b.add(which, self.sizes(axis.low))
        first = taps.first_live(b, axis, origin)
        count = b.floordiv(b.add(b.sub(b.i64(axis.taps), first), step - 1), step)
        tap = b.add(first, b.mul(b.sub(count, 1), step))
        start = b.floordiv(b.sub(origin, b.mul(tap, axis.dilation)), stride)
        rows = b.floordiv(b.add(b.sub(length, which), stride - 1), stride)
        place_step = step * axis.dilation // stride
        return Phase(which, stride, 1, start, count, tap, -step, place_step, rows)

    def _bounds(self, phase: Phase, first: Value, last: Value) -> Bounds:
        axis = self.form.inner
        if self.form.forward and axis.low == 0 and axis.high == 0:
            return Bounds(first, last, first, last)
        length = self.sizes(self.form.data.shape[-2])
        reach = self.b.mul(self.b.sub(phase.count, 1), phase.place_step)
        return bounds(self.b, first, last, phase.start, phase.step, reach, length)

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


@dataclass
class _Work:
    """One panel of filters over the rows of a task."""

    tile: _Tile
    panel: Panel
    filter: Value
    channel: Value
    places: Sequence[Coord]
    outer: Sequence[taps.Taps]

    def rows(self, phase: Phase, rows: Bounds) -> None:
        """Tiles over the rows that meet all taps, one row at a time for the others."""
        cover(
            self.tile.pull,
            rows,
            self.panel.rows,
            lambda at: self._tile(phase, at, self.panel.rows),
            lambda at: self._single(phase, at),
        )

    def _tile(self, phase: Phase, at: Value, deep: int) -> None:
        b = self.tile.b
        place = b.add(phase.start, b.mul(at, phase.step))
        totals = self._sum(phase.count, phase.tap, place, phase, deep)
        for r in range(deep):
            output = b.add(phase.out_start, b.mul(b.add(at, r), phase.out_step))
            self._finish(output, totals[r * self.panel.vectors : (r + 1) * self.panel.vectors])

    def _single(self, phase: Phase, at: Value) -> None:
        """One output, with the taps that are live for it."""
        tile, b = self.tile, self.tile.b
        find = taps.forward if tile.form.forward else taps.backward
        output = b.add(phase.out_start, b.mul(at, phase.out_step))
        axis = tile.form.inner
        live = find(b, tile.sizes, axis, output, tile.form.data.shape[-2])
        self._finish(output, self._sum(live.count, live.tap, live.place, phase, 1))

    # -- the sum ------------------------------------------------------------------------------

    def _sum(
        self, count: Value, tap: Value, place: Value, phase: Phase, deep: int
    ) -> Sequence[Value]:
        """The accumulators of `deep` rows: all taps of the outer axes, then of the inner one."""
        tile, b, form = self.tile, self.tile.b, self.tile.form
        totals = [b.const(tile.vector, 0)] * (deep * self.panel.vectors)
        row_step = phase.step * form.data_width

        def outer(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
            data, weights = self._start(numbers, tap, place)
            if tile.merged:
                return self._run(data, weights, b.mul(count, form.summed), row_step, carried)
            data_step = phase.place_step * form.data_width
            weight_step = phase.tap_step * form.summed * form.weight_width

            def inner(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
                (j,) = numbers
                x = b.at(data, b.mul(j, data_step), tile.scalar)
                w = b.at(weights, b.mul(j, weight_step), tile.scalar)
                return self._run(x, w, b.i64(form.summed), row_step, carried)

            return tile.pull.nest([count], carried, inner)

        return tile.pull.nest([t.count for t in self.outer], totals, outer)

    def _start(self, numbers: Sequence[Value], tap: Value, place: Value) -> tuple[Value, Value]:
        """Where data and weights of the first inner tap begin."""
        tile, b, form = self.tile, self.tile.b, self.tile.form
        batch = self.places[: form.first]
        spatial = [
            Coord(b.add(t.place, b.mul(j, t.place_step)))
            for t, j in zip(self.outer, numbers, strict=True)
        ]
        index = (*batch, *spatial, Coord(place), Coord(self.channel))
        offset = tile.pull.lanes.offset(index, tile.pull.strides(form.data.shape)).base
        chosen = b.i64(0)
        for axis, t, j in zip(form.axes[:-1], self.outer, numbers, strict=True):
            found = b.add(t.tap, b.mul(j, t.tap_step))
            chosen = b.add(b.mul(chosen, axis.taps), found)
        chosen = b.add(b.mul(chosen, form.inner.taps), tap)
        row = b.mul(chosen, form.summed * form.weight_width)
        pointers = tile.frame.pointers
        return (
            b.at(pointers[form.data], offset, tile.scalar),
            b.at(pointers[form.weights], b.add(row, self.filter), tile.scalar),
        )

    def _run(
        self,
        data: Value,
        weights: Value,
        length: Value,
        row_step: int,
        totals: Sequence[Value],
    ) -> Sequence[Value]:
        """Adds `length` products, side by side in the data and row by row in the weights."""
        b, deep = self.tile.b, len(totals) // self.panel.vectors
        rows = self._row_pointers(data, deep, row_step)
        known = int(length.text) if length.text.isdigit() else None
        whole = (
            b.i64(known // _UNROLL * _UNROLL)
            if known is not None
            else b.op("and", length, b.i64(-_UNROLL))
        )
        sums: Sequence[Value] = totals
        if whole.text != "0":
            with b.loop(
                0, whole, step=_UNROLL, carried=sums, at_least_once=known is not None
            ) as loop:
                sums = loop.carried
                for u in range(_UNROLL):
                    sums = self._step(rows, weights, loop.index, u, sums)
                loop.next = tuple(sums)
            sums = loop.results
        if known is not None:
            for u in range(known % _UNROLL):
                sums = self._step(rows, weights, whole, u, sums)
            return sums
        with b.loop(whole, length, carried=sums) as loop:
            loop.next = tuple(self._step(rows, weights, loop.index, 0, loop.carried))
        return loop.results

    def _row_pointers(self, data: Value, deep: int, row_step: int) -> list[tuple[Value, int]]:
        """A pointer and a constant offset for each row.

        Rows that share elements within an unrolled step get pointers of their own, opaque to
        LLVM: it would merge their loads, keep them in registers and spill.
        """
        if deep == 1 or row_step >= _UNROLL:
            return [(data, r * row_step) for r in range(deep)]
        b = self.tile.b
        scalar = self.tile.scalar
        return [(b.opaque(b.at(data, r * row_step, scalar)), 0) for r in range(deep)]

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

    def _finish(self, output: Value, totals: Sequence[Value]) -> None:
        tile, b = self.tile, self.tile.b
        pull = tile.pull
        for v, total in enumerate(totals):
            filter_ = Coord(b.add(self.filter, v * tile.lanes), 1)
            index = (*self.places, Coord(output), filter_)
            mask = self._mask(v)
            pull.held[tile.node] = total
            value = pull.value(tile.root, index, mask)
            pull.store(value, tile.frame.targets[0], tile.root, index, mask)
        del pull.held[tile.node]

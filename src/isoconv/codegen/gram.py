"""The form's face w as a product of overlapping windows with the outputs, both read in place.

Row m of the result is (tap, channel) of the last spatial axis: its elements stand one after the
other in the input, so a tile of rows times a panel of filters stays in registers over a block of
positions. Blocks are added to the result in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isoconv.codegen import taps
from isoconv.codegen.emit import SCALARS, Builder, Value, vector_type
from isoconv.codegen.frame import Frame
from isoconv.codegen.index import ZERO, Coord
from isoconv.codegen.pull import Pull
from isoconv.codegen.reductions import BLOCK
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import number
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine
from isoconv.plan.tiles import Panel, panels


@dataclass(frozen=True)
class Rows:
    """The rows of one run of contiguous (tap, channel) pairs, and how tasks share them.

    runs: such runs (one a tap where dilation keeps taps apart, else one for all taps of the last
    axis); length: rows of a run; each: rows of a task.
    """

    runs: int
    length: int
    each: int


def rows(node: Node, deep: int) -> Rows:
    """How the rows of a weight gradient are shared out: about four tasks or more."""
    axes = node["axes"]
    channels = number(node.shape[-2])
    inner = axes[-1] if axes else Axis(1)
    outer = 1
    for axis in axes[:-1]:
        outer *= axis.taps
    merged = inner.dilation == 1
    runs = outer * (1 if merged else inner.taps)
    length = channels * (inner.taps if merged else 1)
    tiles = -(-length // deep)
    return Rows(runs, length, deep * min(max(-(-tiles // 4), 1), 16))


def tasks(node: Node, machine: Machine) -> int:
    """How many tasks the kernel of a weight gradient splits into."""
    shared = rows(node, panels(number(node.shape[-1]), node.dtype, machine)[0].rows)
    return shared.runs * -(-shared.length // shared.each)


def emit(kernel: Kernel, machine: Machine) -> str:
    """The kernel of one weight gradient."""
    return _Gram(kernel, machine).text()


class _Gram:
    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        anchor = kernel.anchor
        assert anchor is not None
        self.frame = Frame(kernel, machine)
        self.b: Builder = self.frame.b
        self.node = anchor
        self.x, self.y = anchor.inputs
        self.lanes = machine.lanes(anchor.dtype)
        self.scalar = SCALARS[anchor.dtype]
        self.vector = vector_type(self.scalar, self.lanes)
        self.pull = self.frame.pull(self.lanes)
        self.axes: tuple[Axis, ...] = anchor["axes"]
        self.inner = self.axes[-1] if self.axes else Axis(1)
        self.channels = number(anchor.shape[-2])
        self.filters = number(anchor.shape[-1])
        self.panels = panels(self.filters, anchor.dtype, machine)
        self.deep = self.panels[0].rows
        self.shared = rows(anchor, self.deep)

    def text(self) -> str:
        b, shared = self.b, self.shared
        pieces = -(-shared.length // shared.each)
        with b.loop(self.frame.begin, self.frame.end) as task:
            run = b.floordiv(task.index, pieces)
            piece = b.sub(task.index, b.mul(run, pieces))
            start = b.mul(piece, shared.each)
            stop = b.minimum(b.add(start, shared.each), shared.length)
            self._clear(run, start, stop)
            self._positions(run, start, stop)
        return self.frame.text()

    def _target(self, run: Value, row: Value) -> Value:
        place = self.b.add(self.b.mul(run, self.shared.length), row)
        return self.b.at(self.frame.targets[0], self.b.mul(place, self.filters), self.scalar)

    def _clear(self, run: Value, start: Value, stop: Value) -> None:
        b = self.b
        size = 4 if self.scalar == "float" else 8
        count = b.mul(b.sub(stop, start), self.filters * size)
        target = self._target(run, start)
        b.call("llvm.memset.p0.i64", "void", target, Value("0", "i8"), count, Value("false", "i1"))

    def _positions(self, run: Value, start: Value, stop: Value) -> None:
        """All blocks of positions, in order; each for all rows of the task."""
        outer_taps, inner_tap = self._taps(run)

        def block(x: Value, y: Value, begin: Value, end: Value) -> None:
            self._tiles(run, inner_tap, x, y, start, stop, begin, end)

        each_block(self.frame, self.pull, self.node, outer_taps, block)

    def _taps(self, run: Value) -> tuple[list[Value], Value]:
        """The taps of the outer axes, and the inner one where a run has only one tap."""
        b = self.b
        merged = self.inner.dilation == 1
        inner = b.i64(0)
        if not merged:
            rest = b.floordiv(run, self.inner.taps)
            inner = b.sub(run, b.mul(rest, self.inner.taps))
            run = rest
        found: list[Value] = []
        for axis in reversed(self.axes[:-1]):
            rest = b.floordiv(run, axis.taps)
            found.append(b.sub(run, b.mul(rest, axis.taps)))
            run = rest
        return found[::-1], inner

    def _tiles(
        self,
        run: Value,
        inner_tap: Value,
        x: Value,
        y: Value,
        start: Value,
        stop: Value,
        begin: Value,
        end: Value,
    ) -> None:
        b, deep = self.b, self.deep
        whole = b.mul(b.floordiv(b.sub(stop, start), deep), deep)
        rest = self.shared.length % deep
        with b.loop(0, whole, step=deep) as loop, self.pull.scope():
            self._row_tile(run, inner_tap, x, y, b.add(start, loop.index), begin, end, deep)
        if rest:
            last = b.add(start, whole)
            with b.when(b.compare("slt", last, stop)), self.pull.scope():
                self._row_tile(run, inner_tap, x, y, last, begin, end, rest)

    def _row_tile(
        self,
        run: Value,
        inner_tap: Value,
        x: Value,
        y: Value,
        row: Value,
        begin: Value,
        end: Value,
        deep: int,
    ) -> None:
        """`deep` rows from `row` on, all filters, over positions begin..end-1."""
        b = self.b
        live = self._live(inner_tap, row, deep)
        tile = _RowTile(self, x, y, row, self._start(inner_tap, row), live, deep)
        for panel in self.panels:
            with b.loop(0, panel.count, at_least_once=True) as loop:
                which = loop.index if panel.count > 1 else b.i64(0)
                filter_ = b.add(b.mul(which, panel.width), panel.start)
                target = b.at(self._target(run, row), filter_, self.scalar)
                tile.panel(panel, filter_, target, begin, end)

    def _start(self, inner_tap: Value, row: Value) -> Value:
        """Where row `row` finds its element for output position 0, from the line's start."""
        b = self.b
        shift = b.sub(b.mul(inner_tap, self.inner.dilation), self.frame.sizes(self.inner.low))
        return b.add(b.mul(shift, self.channels), row)

    def _live(self, inner_tap: Value, row: Value, deep: int) -> list[tuple[Value, Value]]:
        """The range of live positions of each row; one for all where nothing is padded."""
        b, axis = self.b, self.inner
        length, count = self.x.shape[-2], self.y.shape[-2]
        if axis.low == 0 and axis.high == 0:
            return [(b.i64(0), self.frame.sizes(count))]
        if axis.dilation != 1:
            return [taps.outputs(b, self.frame.sizes, axis, inner_tap, length, count)]
        return [
            taps.outputs(
                b,
                self.frame.sizes,
                axis,
                b.floordiv(b.add(row, r), self.channels),
                length,
                count,
            )
            for r in range(deep)
        ]


def each_block(
    frame: Frame,
    pull: Pull,
    node: Node,
    outer_taps: Sequence[Value],
    block: Callable[[Value, Value, Value, Value], None],
) -> None:
    """`block(x, y, begin, end)` for all blocks of positions that the taps of the outer axes meet,
    in order: where the lines of the input and of the outputs begin, and the positions along them.
    """
    b, sizes = frame.b, frame.sizes
    x, y = node.inputs
    axes: tuple[Axis, ...] = node["axes"][:-1]
    first = y.rank - 1 - max(len(node["axes"]), 1)
    ranges = [
        taps.outputs(b, sizes, axis, tap, x.shape[first + i], y.shape[first + i])
        for i, (axis, tap) in enumerate(zip(axes, outer_taps, strict=True))
    ]
    counts = [sizes(dim) for dim in y.shape[:first]]
    counts += [b.sub(last, begin) for begin, last in ranges]

    def body(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
        batch = [Coord(n) for n in numbers[:first]]
        outer = [b.add(begin, n) for (begin, _), n in zip(ranges, numbers[first:], strict=True)]
        places = [
            Coord(b.sub(b.add(b.mul(o, axis.stride), b.mul(tap, axis.dilation)), sizes(axis.low)))
            for o, axis, tap in zip(outer, axes, outer_taps, strict=True)
        ]
        lines = []
        for operand, line in ((x, places), (y, [*map(Coord, outer)])):
            at = pull.lanes.offset((*batch, *line, ZERO, ZERO), pull.strides(operand.shape))
            lines.append(b.at(frame.pointers[operand], at.base, SCALARS[operand.dtype]))
        length = sizes(y.shape[-2])
        with pull.scope(), b.loop(0, length, step=BLOCK) as blocks:
            end = b.minimum(b.add(blocks.index, BLOCK), length)
            block(lines[0], lines[1], blocks.index, end)
        return []

    pull.nest(counts, [], body)


def over_positions(
    b: Builder,
    live: Sequence[tuple[Value, Value]],
    begin: Value,
    end: Value,
    sums: Sequence[Value],
    step: Callable[[Value, Sequence[Value], Sequence[Value] | None], list[Value]],
) -> Sequence[Value]:
    """The sums after positions begin..end-1. live: the positions that each row meets, one range
    for all rows or one a row; where only some do, `step` is told which, and the others keep theirs.
    """
    first, last = live[0]
    for low, high in live[1:]:
        first, last = b.maximum(first, low), b.minimum(last, high)
    inside = b.minimum(b.maximum(first, begin), end)
    after = b.maximum(b.minimum(last, end), inside)

    def edge(start: Value, stop: Value, sums: Sequence[Value]) -> Sequence[Value]:
        if len(live) == 1:
            return sums
        with b.loop(start, stop, carried=sums) as loop:
            alive = [
                b.op("and", b.compare("sge", loop.index, low), b.compare("slt", loop.index, high))
                for low, high in live
            ]
            each = len(sums) // len(live)
            loop.next = tuple(
                b.select(alive[i // each], value, loop.carried[i])
                for i, value in enumerate(step(loop.index, loop.carried, alive))
            )
        return loop.results

    sums = edge(begin, inside, sums)
    with b.loop(inside, after, carried=sums) as loop:
        loop.next = tuple(step(loop.index, loop.carried, None))
    return edge(after, end, loop.results)


@dataclass
class _RowTile:
    """A few rows of the result over a block of positions."""

    gram: _Gram
    x: Value
    y: Value
    row: Value
    start: Value
    live: Sequence[tuple[Value, Value]]
    deep: int

    def panel(self, panel: Panel, filter_: Value, target: Value, begin: Value, end: Value) -> None:
        b, g = self.gram.b, self.gram
        zeros = [b.const(g.vector, 0)] * (self.deep * panel.vectors)

        def step(
            position: Value, sums: Sequence[Value], alive: Sequence[Value] | None
        ) -> list[Value]:
            return self._step(panel, filter_, position, sums, alive)

        self._add(panel, target, over_positions(b, self.live, begin, end, zeros, step))

    def _step(
        self,
        panel: Panel,
        filter_: Value,
        position: Value,
        sums: Sequence[Value],
        alive: Sequence[Value] | None,
    ) -> list[Value]:
        b, g = self.gram.b, self.gram
        line = b.at(self.y, b.add(b.mul(position, g.filters), filter_), g.scalar)
        loaded = [
            b.load_masked(b.at(line, v * g.lanes, g.scalar), g.vector, self._mask(panel, v))
            for v in range(panel.vectors)
        ]
        place = b.add(b.mul(position, g.inner.stride * g.channels), self.start)
        result = []
        for r in range(self.deep):
            at = b.add(place, r)
            if alive is not None:
                at = b.select(alive[r], at, b.i64(0))
                element = b.at(self.x, at, g.scalar)
            else:
                element = b.at(b.at(self.x, place, g.scalar), r, g.scalar)
            x = b.splat(b.load(element, g.scalar), g.lanes)
            for v in range(panel.vectors):
                result.append(b.fma(x, loaded[v], sums[r * panel.vectors + v]))
        return result

    def _add(self, panel: Panel, target: Value, sums: Sequence[Value]) -> None:
        """Adds the block's sums to the result."""
        b, g = self.gram.b, self.gram
        for i, total in enumerate(sums):
            r, v = divmod(i, panel.vectors)
            address = b.at(target, r * g.filters + v * g.lanes, g.scalar)
            mask = self._mask(panel, v)
            old = b.load_masked(address, g.vector, mask)
            b.store_masked(b.op("fadd", old, total), address, mask)

    def _mask(self, panel: Panel, vector: int) -> Value | None:
        """The filters of a vector that exist; None for all."""
        lanes = self.gram.lanes
        return self.gram.b.mask_first(panel.width - vector * lanes, lanes)

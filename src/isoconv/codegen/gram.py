"""The form's face w as a product of overlapping windows with the outputs, both read in place.

Row m of the result is (tap, channel) of the last spatial axis: its elements stand one after the
other in the input, so a tile of rows times a panel of filters stays in registers over a block of
positions. Blocks are added to the result in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

# Tasks of a run to have, and the tiles of rows that one has at most.
_TASKS, _MOST_TILES = 4, 16
# Data of the next tile of rows lie so many bytes further on: a line of the cache.
_LINE = 64


@dataclass(frozen=True)
class Rows:
    """The rows of one run of contiguous (tap, channel) pairs, and how tasks share them.

    runs: such runs (one a tap where dilation keeps taps apart, else one for all taps of the last
    axis); length: rows of a run; each: rows of a task; columns: tasks of the same rows, each with
    other panels of filters; together: panels of a task.
    """

    runs: int
    length: int
    each: int
    columns: int
    together: int

    @property
    def pieces(self) -> int:
        """Tasks of a run for the same filters."""
        return -(-self.length // self.each)


def rows(node: Node, machine: Machine) -> Rows:
    """How a weight gradient is shared out: about four tasks of a run, or more. A few rows are not:
    the tasks take panels of filters, so that the outputs are read once.
    """
    axes = node["axes"]
    found = panels(number(node.shape[-1]), node.dtype, machine)
    deep, columns = found[0].rows, sum(panel.count for panel in found)
    channels = number(node.shape[-2])
    inner = axes[-1] if axes else Axis(1)
    outer = 1
    for axis in axes[:-1]:
        outer *= axis.taps
    merged = inner.dilation == 1
    runs = outer * (1 if merged else inner.taps)
    length = channels * (inner.taps if merged else 1)
    tiles = -(-length // deep)
    if tiles <= _MOST_TILES and columns > 1:
        return Rows(runs, length, tiles * deep, columns, 1)
    return Rows(runs, length, deep * min(-(-tiles // _TASKS), _MOST_TILES), 1, columns)


def tasks(node: Node, machine: Machine) -> int:
    """How many tasks the kernel of a weight gradient splits into."""
    shared = rows(node, machine)
    return shared.runs * shared.pieces * shared.columns


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
        self.shared = rows(anchor, machine)
        length = self.y.shape[-2]
        self.long = not isinstance(length, int) or length > BLOCK

    def text(self) -> str:
        b, shared = self.b, self.shared
        with b.loop(self.frame.begin, self.frame.end) as task:
            place = b.floordiv(task.index, shared.columns)
            column = b.sub(task.index, b.mul(place, shared.columns))
            run = b.floordiv(place, shared.pieces)
            piece = b.sub(place, b.mul(run, shared.pieces))
            start = b.mul(piece, shared.each)
            stop = b.minimum(b.add(start, shared.each), shared.length)
            _Part(self, run, start, stop, column).compute()
        return self.frame.text()

    def taps(self, run: Value) -> tuple[list[Value], Value]:
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

    def start(self, inner_tap: Value, row: Value) -> Value:
        """Where row `row` finds its element for output position 0, from the line's start."""
        b = self.b
        shift = b.sub(b.mul(inner_tap, self.inner.dilation), self.frame.sizes(self.inner.low))
        return b.add(b.mul(shift, self.channels), row)

    def live(self, inner_tap: Value, row: Value, deep: int) -> list[tuple[Value, Value]]:
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


@dataclass
class _Part:
    """What a task computes: rows first..last-1 of a run, for panels of filters from `column` on."""

    gram: _Gram
    run: Value
    first: Value
    last: Value
    column: Value

    def compute(self) -> None:
        """All blocks of positions, in order; each for all rows of the task."""
        g = self.gram
        self._clear()
        outer_taps, inner_tap = g.taps(self.run)

        def block(x: Value, y: Value, begin: Value, end: Value) -> None:
            self._tiles(inner_tap, x, y, begin, end)

        each_block(g.frame, g.pull, g.node, outer_taps, block)

    def _clear(self) -> None:
        b, g = self.gram.b, self.gram
        width = g.panels[0].width
        begin = b.mul(self.column, width)
        end = b.minimum(b.add(begin, g.shared.together * width), g.filters)
        size = b.mul(b.sub(end, begin), 4 if g.scalar == "float" else 8)
        zero, plain = Value("0", "i8"), Value("false", "i1")
        with b.loop(self.first, self.last) as rows:
            target = self._target(rows.index, begin)
            b.call("llvm.memset.p0.i64", "void", target, zero, size, plain)

    def _tiles(self, inner_tap: Value, x: Value, y: Value, begin: Value, end: Value) -> None:
        b, g, deep = self.gram.b, self.gram, self.gram.panels[0].rows
        whole = b.mul(b.floordiv(b.sub(self.last, self.first), deep), deep)
        rest = g.shared.length % deep

        def add(row: Value, count: int) -> None:
            with g.pull.scope():
                live = g.live(inner_tap, row, count)
                start = g.start(inner_tap, row)
                for panel, filter_ in self._panels():
                    tile = _Tile(g, panel, filter_, x, y, start, live, count)
                    tile.add_to(self._target(row, filter_), begin, end)

        with b.loop(0, whole, step=deep) as loop:
            add(b.add(self.first, loop.index), deep)
        if rest:
            last = b.add(self.first, whole)
            with b.when(b.compare("slt", last, self.last)):
                add(last, rest)

    def _panels(self) -> Iterator[tuple[Panel, Value]]:
        """The panels of the task with their first filters; what is done with one is emitted inside
        the loop that chooses it.
        """
        b, g, first = self.gram.b, self.gram, self.column
        for panel in g.panels:
            stop = b.minimum(b.add(first, g.shared.together), panel.count)
            with b.loop(b.maximum(first, 0), stop) as loop:
                yield panel, b.add(b.mul(loop.index, panel.width), panel.start)
            first = b.sub(first, panel.count)

    def _target(self, row: Value, filter_: Value) -> Value:
        b, g = self.gram.b, self.gram
        place = b.mul(b.add(b.mul(self.run, g.shared.length), row), g.filters)
        return b.at(g.frame.targets[0], b.add(place, filter_), g.scalar)


@dataclass
class _Tile:
    """A few rows of the result, for one panel of filters, over a block of positions.

    x, y: where lines of the input and of the outputs begin; start: where the first row finds its
    element for position 0; live: the positions of each row, or of all.
    """

    gram: _Gram
    panel: Panel
    filter: Value
    x: Value
    y: Value
    start: Value
    live: Sequence[tuple[Value, Value]]
    deep: int

    def add_to(self, target: Value, begin: Value, end: Value) -> None:
        """Adds the sums over positions begin..end-1 to the result."""
        b, g, panel = self.gram.b, self.gram, self.panel
        zeros = [b.const(g.vector, 0)] * (self.deep * panel.vectors)
        sums = over_positions(b, self.live, begin, end, zeros, self._step)
        for i, total in enumerate(sums):
            r, v = divmod(i, panel.vectors)
            address = b.at(target, r * g.filters + v * g.lanes, g.scalar)
            old = b.load_masked(address, g.vector, self._mask(v))
            b.store_masked(b.op("fadd", old, total), address, self._mask(v))

    def _step(
        self, position: Value, sums: Sequence[Value], alive: Sequence[Value] | None
    ) -> list[Value]:
        b, g, panel = self.gram.b, self.gram, self.panel
        line = b.at(self.y, b.add(b.mul(position, g.filters), self.filter), g.scalar)
        loaded = [
            b.load_masked(b.at(line, v * g.lanes, g.scalar), g.vector, self._mask(v))
            for v in range(panel.vectors)
        ]
        place = b.add(b.mul(position, g.inner.stride * g.channels), self.start)
        if alive is None:
            self._fetch(line, b.at(self.x, place, g.scalar))
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

    def _fetch(self, line: Value, data: Value) -> None:
        """Asks for the data of the next rows, and for outputs of the next block where they are read
        with gaps, which processors do not foresee.
        """
        b, g, panel = self.gram.b, self.gram, self.panel
        b.prefetch(b.at(data, _LINE, "i8"))
        if g.filters > panel.width and g.long:
            for v in range(panel.vectors):
                b.prefetch(b.at(line, BLOCK * g.filters + v * g.lanes, g.scalar))

    def _mask(self, vector: int) -> Value | None:
        """The filters of a vector that exist; None for all."""
        g = self.gram
        return g.b.mask_first(self.panel.width - vector * g.lanes, g.lanes)


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

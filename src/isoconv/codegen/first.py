"""The form's face y between tensors with channels first: lanes are neighbouring outputs, weights
are single numbers read where they lie, in whatever order, and windows of the input are read in
place.

Outputs of a line and of the lines after it are counted on, so that short lines fill vectors too: a
vector takes from each line that it meets the lanes that lie there, under a mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from isoconv.codegen import taps
from isoconv.codegen.edges import blocks
from isoconv.codegen.emit import SCALARS, Value, vector_type
from isoconv.codegen.frame import Frame
from isoconv.codegen.index import ZERO, Coord
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim, ceildiv, number, product
from isoconv.plan.first import axes, in_place
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine

# Filters of one tile at most and its vectors at most; tiles that a task has along the outputs, and
# by how many filters at most it works on what it reads.
_FILTERS, _VECTORS, _TILES, _COLUMNS = 8, 8, 8, 4
# Tiles of so few filters read vectors of one line each, from a line's length of so many lanes on.
_NARROW = 2
# Others do so where at most one lane of so many is idle.
_IDLE = 8


@dataclass(frozen=True)
class Section:
    """Neighbouring filters of a group: `size` of them a tile, `count` tiles one after the other."""

    start: int
    size: int
    count: int


def sections(filters: int) -> list[Section]:
    """The filters of a group in tiles; only the last tile is smaller."""
    size = -(-filters // -(-filters // _FILTERS))
    count, rest = divmod(filters, size)
    found = [Section(0, size, count)]
    if rest:
        found.append(Section(count * size, rest, 1))
    return found


def vectors(size: int, machine: Machine) -> int:
    """The vectors of outputs that a tile of `size` filters has registers for."""
    return max(min((machine.registers - 2) // (size + 1), _VECTORS), 1)


@dataclass(frozen=True)
class Line:
    """An axis of places: lengths of the input and of the output along it."""

    axis: Axis
    length: Dim
    outputs: Dim

    @property
    def is_whole(self) -> bool:
        """Whether outputs are at the places of inputs."""
        axis = self.axis
        return (axis.taps, axis.stride, axis.low, axis.high) == (1, 1, 0, 0)


def lines(node: Node) -> list[Line]:
    """The axes of a form; the last ones as one where windows have no extent along them."""
    source = node.inputs[0]
    found = [
        Line(*each) for each in zip(axes(node), source.shape[1:-1], node.shape[1:-1], strict=True)
    ]
    while len(found) > 1 and found[-1].is_whole and found[-2].is_whole:
        before, last = found[-2:]
        found[-2:] = [Line(Axis(1), before.length * last.length, before.outputs * last.outputs)]
    return found


def row_shape(node: Node, machine: Machine) -> tuple[Dim, ...]:
    """The tasks: places before the last two axes, blocks of outputs on these, tiles of filters."""
    found = lines(node)
    groups = node["groups"]
    each = sections(number(node.shape[-1]) // groups)
    *before, last = [line.outputs for line in found[-2:]]
    lanes = machine.lanes(node.dtype)
    flat = product([*before, ceildiv(last, lanes)])
    block = _TILES * vectors(each[0].size, machine)
    columns = -(-sum(section.count for section in each) // _COLUMNS)
    outer = [line.outputs for line in found[:-2]]
    return (node.shape[0], *outer, ceildiv(flat, block), groups * columns)


def tasks(node: Node, machine: Machine) -> Dim:
    """How many tasks the kernel of such a form splits into."""
    return product(row_shape(node, machine))


def emit(kernel: Kernel, machine: Machine) -> str:
    """The kernel of one form between tensors with channels first, with its epilogue."""
    return _First(kernel, machine).text()


def _source(node: Node) -> Node:
    """The tensor that a form reads, behind views of it."""
    return node if node.op == "input" else _source(node.inputs[0])


@dataclass(frozen=True)
class _Task:
    """What a task works on: a sample, places on the outer axes, the group's first filter, the first
    tile of filters, and the address of the group's first channel of the sample.
    """

    sample: Value
    places: Sequence[Value]
    outer: Sequence[taps.Taps]
    filter: Value
    column: Value
    data: Value


@dataclass(frozen=True)
class _Piece:
    """The lanes of a vector that lie on one line of outputs: low..high-1 (all where None); the row
    of the input where the window of lane 0 would begin, and which output of its line it is.
    """

    row: Value
    column: Value
    low: Value | None = None
    high: Value | None = None


class _First:
    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        anchor = kernel.anchor
        assert anchor is not None
        self.frame = Frame(kernel, machine)
        self.b = self.frame.b
        self.sizes = self.frame.sizes
        self.node = anchor
        self.root = kernel.graph.outputs[0]
        self.data = _source(anchor.inputs[0])
        self.weights, self.origin, self.steps = in_place(anchor.inputs[1])
        self.shape = row_shape(anchor, machine)
        found = lines(anchor)
        self.outer, self.inner = found[:-2], found[-1]
        self.across = found[-2] if len(found) > 1 else None
        own = (0,) * (anchor.rank - len(self.steps)) + self.steps[:-2]
        # Axes made one have one tap.
        self.tap_steps = (*own[: len(found) - 1], own[-1])
        self.channels = number(anchor.inputs[1].shape[-2])
        self.filters = number(anchor.shape[-1]) // anchor["groups"]
        self.sections = sections(self.filters)
        self.deep = vectors(self.sections[0].size, machine)
        self.lanes = machine.lanes(anchor.dtype)
        self.scalar = SCALARS[anchor.dtype]
        self.vector = vector_type(self.scalar, self.lanes)
        self.pull = self.frame.pull(self.lanes)
        self.plane = self.sizes(product(self.data.shape[2:]))
        # From line to line of the data, of which a form with a stride reads phases.
        self.stride = self.inner.axis.stride
        last = self.data.shape[-1] if self.stride > 1 else self.inner.length
        self.pitch = self.sizes(last)
        self.width = self.sizes(self.inner.length)
        self.length = self.sizes(self.inner.outputs)
        self.padded = [
            line is not None and (line.axis.low != 0 or line.axis.high != 0)
            for line in (self.across, self.inner)
        ]

    def text(self) -> str:
        frame, b = self.frame, self.b
        with frame.rows(self.shape, frame.begin, frame.end) as row, self.pull.scope():
            sample, places = row[0].base, [c.base for c in row[1:-2]]
            outer = [
                taps.forward(b, self.sizes, line.axis, place, line.length)
                for line, place in zip(self.outer, places, strict=True)
            ]
            columns = -(-sum(section.count for section in self.sections) // _COLUMNS)
            group = b.floordiv(row[-1].base, columns)
            first = b.mul(b.sub(row[-1].base, b.mul(group, columns)), _COLUMNS)
            channel = b.mul(sample, number(self.data.shape[1]))
            channel = b.add(channel, b.mul(group, self.channels))
            data = b.at(frame.pointers[self.data], b.mul(channel, self.plane), self.scalar)
            filter_ = b.mul(group, self.filters)
            task = _Task(sample, places, outer, filter_, first, data)
            self._block(task, row[-2].base)
        return frame.text()

    # -- tiles --------------------------------------------------------------------------------

    def _block(self, task: _Task, which: Value) -> None:
        """Some filters of one block of outputs."""
        b, across, lanes = self.b, self.across, self.lanes
        if across is None:
            first, last = self._share(which, self.length, lanes)
            self._line(task, first, last)
            return
        total = self.sizes(across.outputs * self.inner.outputs)
        # A line in vectors of its own has so many idle lanes.
        each = b.mul(b.floordiv(b.add(self.length, lanes - 1), lanes), lanes)
        few = b.compare("sle", b.mul(b.sub(each, self.length), _IDLE), self.length)
        for least, most, met in self._ways():
            fits = b.compare("sge", self.length, b.i64(least))
            if most is not None:
                fits = b.op("and", fits, b.compare("slt", self.length, b.i64(most)))
            elif met:
                fits = b.op("and", fits, b.op("xor", few, b.const("i1", 1)))
            elif not self._narrow:
                fits = b.op("and", fits, few)
            with b.when(fits), self.pull.scope():
                if met:
                    self._cover(task, *self._share(which, total, lanes), met)
                else:
                    self._apart(task, which, short=least < lanes)

    @property
    def _narrow(self) -> bool:
        """Whether lines have vectors of their own however many lanes are idle."""
        return self.filters <= _NARROW or not self.b.machine.masks

    def _ways(self) -> list[tuple[int, int | None, int]]:
        """From which length of a line to which one vectors meet how many lines at most; 0 where
        lines have vectors of their own: few lanes are idle, or there is more to load than to do.
        """
        lanes = self.lanes
        near = lanes - lanes // 4
        found: list[tuple[int, int | None, int]] = []
        found.append((lanes, None, 0))
        if not self._narrow:
            found.append((lanes, None, 2))
        found.append((near, lanes, 0))
        below = near
        for met in (3, 4, lanes):
            least = 1 if met == lanes else -(-(lanes - 1) // (met - 1))
            if least < below:
                found.append((least, below, met))
                below = least
        return found

    def _share(self, which: Value, total: Value, unit: int) -> tuple[Value, Value]:
        """From where to where block `which` goes, of `total` outputs in vectors of `unit`."""
        b = self.b
        count = b.floordiv(b.add(total, unit - 1), unit)
        blocks_ = b.maximum(self.sizes(self.shape[-2]), 1)
        each = b.add(count, b.sub(blocks_, 1))
        each = b.emit("i64", f"udiv {each}, {blocks_.text}")
        deep = b.mul(b.floordiv(b.add(each, self.deep - 1), self.deep), self.deep * unit)
        first = b.minimum(b.mul(which, deep), total)
        return first, b.minimum(b.add(first, deep), total)

    def _apart(self, task: _Task, which: Value, short: bool) -> None:
        """Lines in vectors of their own, the last one of a line moved back to end with it.

        short: whether lines have fewer outputs than a vector.
        """
        b, across, lanes = self.b, self.across, self.lanes
        assert across is not None
        each = b.floordiv(b.add(self.length, lanes - 1), lanes)
        first, last = self._share(which, b.mul(self.sizes(across.outputs), each), 1)
        end = self.length if short else b.i64(lanes)
        masked = short or any(self.padded)

        def tile(at: Value, deep: int) -> None:
            starts, pieces = [], []
            for v in range(deep):
                number_ = b.add(b.add(first, at), v)
                line = b.emit("i64", f"udiv {number_}, {each.text}")
                place = b.mul(b.sub(number_, b.mul(line, each)), lanes)
                place = b.i64(0) if short else b.minimum(place, b.sub(self.length, lanes))
                row = b.sub(b.mul(line, across.axis.stride), self.sizes(across.axis.low))
                limits = (b.i64(0), end) if masked else (None, None)
                starts.append(b.add(b.mul(line, self.length), place))
                pieces.append([_Piece(row, place, *limits)])
            mask = b.mask_below(end, lanes) if short else None
            self._write(task, starts, pieces, [mask] * deep)

        blocks(self.pull, b.sub(last, first), self.deep, tile)

    def _line(self, task: _Task, first: Value, last: Value) -> None:
        """Outputs of one line: those whose taps are all live, and before and after them the others,
        a vector at a time.
        """
        if not any(self.padded):
            self._cover(task, first, last, 0)
            return
        b, axis = self.b, self.inner.axis
        reach = b.sub(b.add(self.width, self.sizes(axis.low)), axis.span)
        inside = b.add(b.floordiv(reach, self.stride), 1)
        whole = b.floordiv(b.add(self.sizes(axis.low), self.stride - 1), self.stride)
        low = b.maximum(first, b.minimum(whole, last))
        high = b.maximum(low, b.minimum(last, inside))
        self._cover(task, low, high, 0)
        for start, stop in ((first, low), (high, last)):
            with b.loop(start, stop, step=self.lanes) as loop, self.pull.scope():
                self._tile(task, loop.index, 1, stop, 1)

    def _cover(self, task: _Task, first: Value, last: Value, met: int) -> None:
        """Large tiles, then vectors one by one; the last one under a mask."""
        b = self.b
        deep = self.deep
        step = deep * self.lanes
        whole = b.mul(b.floordiv(b.sub(last, first), step), step)
        middle = b.add(first, whole)
        with b.loop(first, middle, step=step) as loop, self.pull.scope():
            self._tile(task, loop.index, deep, None, met)
        if deep > 1:
            rest = b.sub(last, middle)
            end = b.add(middle, b.mul(b.floordiv(rest, self.lanes), self.lanes))
            with b.loop(middle, end, step=self.lanes) as loop, self.pull.scope():
                self._tile(task, loop.index, 1, None, met)
            middle = end
        with b.when(b.compare("slt", middle, last)), self.pull.scope():
            self._tile(task, middle, 1, last, max(met, 1))

    def _tile(self, task: _Task, at: Value, deep: int, last: Value | None, met: int) -> None:
        """`deep` vectors of outputs from `at` on, of which those from `last` on do not exist.

        met: the lines that a vector meets at most; 0 where it lies on one, with all its taps.
        """
        b = self.b
        starts = [b.add(at, v * self.lanes) for v in range(deep)]
        pieces = [self._pieces(start, last, met) for start in starts]
        masks = [
            None if last is None else b.mask_below(b.sub(last, start), self.lanes)
            for start in starts
        ]
        self._write(task, starts, pieces, masks)

    def _write(
        self,
        task: _Task,
        starts: Sequence[Value],
        pieces: Sequence[Sequence[_Piece]],
        masks: Sequence[Value | None],
    ) -> None:
        """The outputs that begin at `starts`, one vector each, of a task's filters."""
        b, deep = self.b, len(starts)
        for filter_, size in self._columns(task):
            totals = self._sum(task, filter_, size, pieces)
            for i, total in enumerate(totals):
                f, v = divmod(i, deep)
                self._finish(task, b.add(filter_, f), starts[v], total, masks[v])

    def _columns(self, task: _Task) -> Iterator[tuple[Value, int]]:
        """The first filter of each of a task's tiles of filters, and how many there are.

        What a caller does with them is emitted in the loop over tiles of one size.
        """
        b, before = self.b, 0
        for section in self.sections:
            low = b.maximum(task.column, before)
            high = b.minimum(b.add(task.column, _COLUMNS), before + section.count)
            with b.loop(low, high) as loop, self.pull.scope():
                which = b.mul(b.sub(loop.index, before), section.size)
                yield b.add(task.filter, b.add(which, section.start)), section.size
            before += section.count

    def _pieces(self, start: Value, last: Value | None, met: int) -> list[_Piece]:
        """The pieces of the vector of outputs from `start` on."""
        b = self.b
        if self.across is None:
            if met == 0:
                return [_Piece(b.i64(0), start)]
            return [_Piece(b.i64(0), start, b.i64(0), self._lanes_before(start, last))]
        axis = self.across.axis
        line = b.emit("i64", f"udiv {start}, {self.length.text}")
        place = b.sub(start, b.mul(line, self.length))
        row = b.sub(b.mul(line, axis.stride), self.sizes(axis.low))
        end = self._lanes_before(start, last)
        found, begin = [], b.i64(0)
        for number_ in range(met):
            after = b.sub(b.mul(self.length, number_ + 1), place)
            column = b.sub(place, b.mul(self.length, number_))
            here = b.add(row, number_ * axis.stride)
            found.append(_Piece(here, column, begin, b.minimum(after, end)))
            begin = after
        return found

    def _lanes_before(self, start: Value, last: Value | None) -> Value:
        b, lanes = self.b, self.b.i64(self.lanes)
        return lanes if last is None else b.minimum(b.sub(last, start), lanes)

    # -- sums ---------------------------------------------------------------------------------

    def _sum(
        self, task: _Task, filter_: Value, size: int, pieces: Sequence[Sequence[_Piece]]
    ) -> Sequence[Value]:
        """The sums of each filter over all vectors: taps in order, and all channels of each."""
        b, dims = self.b, [self.inner, *([] if self.across is None else [self.across])][::-1]
        totals = [b.const(self.vector, 0)] * (size * len(pieces))
        counts = [*(t.count for t in task.outer), *(b.i64(line.axis.taps) for line in dims)]
        first = self._first_weight(filter_)

        def tap(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
            data, weights = b.i64(0), first
            before, rest = numbers[: len(task.outer)], numbers[len(task.outer) :]
            for t, j, line, step in zip(
                task.outer, before, self.outer, self.tap_steps, strict=False
            ):
                place = b.add(t.place, b.mul(j, t.place_step))
                data = b.add(b.mul(data, self.sizes(line.length)), place)
                found = b.add(t.tap, b.mul(j, t.tap_step))
                weights = b.at(weights, b.mul(found, step), self.scalar)
            for j, step in zip(rest, self.tap_steps[len(before) :], strict=True):
                weights = b.at(weights, b.mul(j, step), self.scalar)
            loads = self._loads(task, pieces, data, rest)
            return self._channels(loads, weights, carried)

        return self.pull.nest(counts, totals, tap)

    def _first_weight(self, filter_: Value) -> Value:
        """Where the weight of tap 0, channel 0 and a filter lies."""
        place = self.b.add(self.b.mul(filter_, self.steps[-1]), self.origin)
        return self.b.at(self.frame.pointers[self.weights], place, self.scalar)

    def _loads(
        self, task: _Task, pieces: Sequence[Sequence[_Piece]], before: Value, found: list[Value]
    ) -> list[list[tuple[Value, Value | None]]]:
        """Of each vector, where its pieces lie in the first channel at a tap, and their lanes.

        before: the place on the outer axes; found: the tap's number on the others.
        """
        b, stride = self.b, self.stride
        ahead = b.sub(b.mul(found[-1], self.inner.axis.dilation), self.sizes(self.inner.axis.low))
        # Output o meets place (o + ahead) of a phase.
        ahead, phase = self._divide(ahead)
        length = b.sub(self.width, phase)
        length = b.floordiv(b.add(length, stride - 1), stride)
        down = b.i64(0)
        rows = b.i64(1)
        if self.across is not None:
            down = b.mul(found[0], self.across.axis.dilation)
            rows = self.sizes(self.across.length)
        line = b.mul(self.pitch, stride)
        place = b.add(b.mul(b.mul(before, rows), line), ahead)
        place = b.add(place, b.mul(phase, self.pitch))
        corner = b.at(task.data, b.add(place, b.mul(down, line)), self.scalar)
        result = []
        for vector in pieces:
            loads: list[tuple[Value, Value | None]] = []
            for piece in vector:
                start = b.add(b.mul(piece.row, line), piece.column)
                mask = None
                if piece.low is not None and piece.high is not None:
                    row = b.add(piece.row, down)
                    column = b.add(piece.column, ahead)
                    mask = self._live(piece.low, piece.high, row, column, length)
                loads.append((b.at(corner, start, self.scalar), mask))
            result.append(loads)
        return result

    def _divide(self, place: Value) -> tuple[Value, Value]:
        """The number of a place in its phase, and the phase."""
        b = self.b
        number_ = b.floordiv(place, self.stride)
        return number_, b.sub(place, b.mul(number_, self.stride))

    def _live(self, low: Value, high: Value, row: Value, column: Value, length: Value) -> Value:
        """The lanes low..high-1 whose input exists, lane 0 being at a row and a column of a line of
        this length.
        """
        b = self.b
        if self.padded[1]:
            low = b.maximum(low, b.sub(b.i64(0), column))
            high = b.minimum(high, b.sub(length, column))
        if self.padded[0] and self.across is not None:
            exists = b.compare("ult", row, self.sizes(self.across.length))
            high = b.select(exists, high, b.i64(-1))
        return b.mask_between(low, high, self.lanes)

    def _channels(
        self,
        loads: Sequence[Sequence[tuple[Value, Value | None]]],
        weights: Value,
        totals: Sequence[Value],
    ) -> Sequence[Value]:
        """One product an accumulator for each channel."""
        b, deep = self.b, len(loads)
        live = [self._any(vector) if any(self.padded) else None for vector in loads]

        def channel(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
            (c,) = numbers
            place = b.mul(c, self.plane)
            xs = [self._load(vector, place) for vector in loads]
            row = b.at(weights, b.mul(c, self.steps[-2]), self.scalar)
            found = []
            for f in range(len(carried) // deep):
                address = b.at(row, f * self.steps[-1], self.scalar)
                weight = b.splat(b.load(address, self.scalar), self.lanes)
                for v, x in enumerate(xs):
                    old = carried[f * deep + v]
                    new = b.fma(x, weight, old)
                    mask = live[v]
                    found.append(new if mask is None else b.select(mask, new, old))
            return found

        return self.pull.nest([b.i64(self.channels)], totals, channel)

    def _any(self, loads: Sequence[tuple[Value, Value | None]]) -> Value | None:
        masks = [mask for _, mask in loads if mask is not None]
        found = masks[0] if masks else None
        for mask in masks[1:]:
            assert found is not None
            found = self.b.op("or", found, mask)
        return found

    def _load(self, pieces: Sequence[tuple[Value, Value | None]], place: Value) -> Value:
        """A vector of one channel, of pieces."""
        b = self.b
        found = None
        for start, mask in pieces:
            address = b.at(start, place, self.scalar)
            if mask is None:
                return b.load(address, self.vector)
            found = b.load_masked(address, self.vector, mask, found)
        assert found is not None
        return found

    # -- the epilogue -------------------------------------------------------------------------

    def _finish(
        self, task: _Task, filter_: Value, at: Value, total: Value, mask: Value | None
    ) -> None:
        """Writes a vector of outputs. Their place is counted on along the last axis."""
        pull = self.pull
        places = [Coord(place) for place in task.places]
        zeros = [ZERO] * (self.root.rank - 3 - len(places))
        index = (
            Coord(task.sample),
            Coord(filter_),
            *places,
            *zeros,
            Coord(at, 1),
        )
        self.frame.finish(pull, self.node, total, index, mask)

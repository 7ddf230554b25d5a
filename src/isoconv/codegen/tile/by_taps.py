"""Forms with many weights, one tap after another: each adds its products to sums in memory, so that
the weights of a tap stay in cache for all rows of a task.

The outputs that meet a tap are a block of rows, whatever their other taps: no row stands alone
because it is at an edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from isoconv.codegen import taps
from isoconv.codegen.emit import Value
from isoconv.codegen.index import Coord
from isoconv.codegen.taps import Taps
from isoconv.codegen.tile.form import CHANNELS
from isoconv.codegen.tile.rows import Run, Tile
from isoconv.codegen.tile.work import UNROLL, Piece, Row, Work
from isoconv.plan.tiles import LARGE_ROWS

_LINE = 64  # bytes: sums begin with a line of the cache


def work(tile: Tile, place: tuple[Coord, ...], column: Coord) -> None:
    """One task: zeros, the products of each tap in turn, then the epilogue."""
    b, form, last = tile.b, tile.form, len(tile.form.axes) - 1
    places = place[: max(last - 1, 0)]
    outer = [form.taps(b, tile.sizes, dim, c.base) for dim, c in enumerate(places)]
    each = _equal(form.summed, CHANNELS)
    pieces = -(-form.summed // each)
    none = Piece(b.i64(0), b.i64(0), 0)
    across = _span(tile, last - 1, place[-2].base) if last else None
    along = _span(tile, last, place[-1].base)
    memory = _memory(tile)
    for panel in tile.columns(column.base):
        whole = Work(tile, *panel, places, outer, across, along, none)
        sums = _Sums(whole, memory)
        sums.clear()

        def add(
            numbers: list[Value],
            carried: tuple[Value, ...],
            whole: Work = whole,
            sums: _Sums = sums,
        ) -> Sequence[Value]:
            *before, right, piece = numbers
            before, down = before[: len(outer)], before[len(outer) :]
            fixed = [_one(tile, t, j) for t, j in zip(outer, before, strict=True)]
            rows = across and _meeting(tile, last - 1, across, down[-1])
            columns = _meeting(tile, last, along, right)
            first = b.mul(piece, each)
            length = b.minimum(b.sub(b.i64(form.summed), first), each)
            channels = Piece(first, b.i64(each) if form.summed % each == 0 else length, each)
            sums.add(replace(whole, outer=fixed, across=rows, along=columns, piece=channels))
            return []

        counts = [
            *(t.count for t in outer),
            *(b.i64(axis.taps) for axis in form.axes[-2:]),
            b.i64(pieces),
        ]
        tile.pull.nest(counts, [], add)
        sums.close()


def _memory(tile: Tile) -> Value:
    """Room for the sums of a task. Where the outputs lie, threads that work on neighbouring filters
    of the same rows would take the cache's lines from each other.
    """
    # A task has up to half of them more, where that makes whole lines or tiles.
    size = LARGE_ROWS * 3 // 2 * max(panel.vectors for panel in tile.panels) * tile.lanes
    with tile.b.at_entry():
        return tile.b.emit("ptr", f"alloca [{size} x {tile.scalar}], align {_LINE}")


class _Sums:
    """The sums of one panel and all the rows of a task, in memory of their own."""

    def __init__(self, whole: Work, memory: Value) -> None:
        self.whole, self.memory = whole, memory
        self.tile, self.b, self.panel = whole.tile, whole.tile.b, whole.panel

    def clear(self) -> None:
        zero = self.b.const(self.tile.vector, 0)
        with self._each_row() as row:
            self._put(row, [zero] * self.panel.vectors)

    def add(self, part: Work) -> None:
        """Adds the products of some rows, in tiles of rows and of half as many."""
        b, deep = self.b, self.panel.rows
        count = b.mul(b.i64(1) if part.across is None else part.across.count, part.along.count)
        half = -(-deep // 2)
        whole = b.mul(b.floordiv(count, deep), deep)
        most = b.select(b.compare("sge", count, b.i64(half)), count, whole)
        for begin, stop, rows in ((b.i64(0), whole, deep), (whole, most, half), (most, count, 1)):
            with b.loop(begin, stop, step=rows) as loop:
                exact = rows == deep or rows == 1
                at = loop.index if exact else b.minimum(loop.index, b.sub(stop, rows))
                self._add(part, loop.index, at, rows)

    def _add(self, part: Work, first: Value, at: Value, deep: int) -> None:
        """Adds to the sums of rows at..at+deep-1, from `first` on: the others have theirs."""
        b, vectors = self.b, self.panel.vectors
        with self.tile.pull.scope():
            rows = part.line(at, deep) if part.across is None else part.fold(at, deep)
            before = [total for row in rows for total in self._get(row)]
            totals = part.sum(rows, before, b.floordiv(at, self.panel.rows))
            for r, row in enumerate(rows):
                mine = totals[r * vectors : (r + 1) * vectors]
                if at is first:
                    self._put(row, mine)
                    continue
                with b.when(b.compare("sge", b.add(at, r), first)):
                    self._put(row, mine)

    def close(self) -> None:
        """The epilogue of all rows, whose sums are complete."""
        with self._each_row() as row:
            self.whole.finish(row.index, self._get(row))

    @contextmanager
    def _each_row(self) -> Iterator[Row]:
        whole, b = self.whole, self.b
        lines = b.i64(1) if whole.across is None else whole.across.count
        with (
            b.loop(0, lines) as line,
            b.loop(0, whole.along.count) as place,
            self.tile.pull.scope(),
        ):
            above = [] if whole.across is None else [Coord(whole.across.output(b, line.index))]
            yield Row((*above, Coord(whole.along.output(b, place.index))), b.i64(0), 0)

    def _get(self, row: Row) -> list[Value]:
        b, vector, lanes = self.b, self.tile.vector, self.tile.lanes
        begin = self._begin(row)
        return [
            b.load(b.at(begin, v * lanes, self.tile.scalar), vector)
            for v in range(self.panel.vectors)
        ]

    def _put(self, row: Row, sums: Sequence[Value]) -> None:
        begin = self._begin(row)
        for v, total in enumerate(sums):
            self.b.store(total, self.b.at(begin, v * self.tile.lanes, self.tile.scalar))

    def _begin(self, row: Row) -> Value:
        """Where the sums of a row lie: as those of all outputs of the task's lines would."""
        b, whole = self.b, self.whole
        number = b.sub(row.index[-1].base, whole.along.output(b, b.i64(0)))
        if whole.across is not None:
            line = b.sub(row.index[-2].base, whole.across.output(b, b.i64(0)))
            number = b.add(number, b.mul(line, self.tile.sizes(self.tile.form.places[-1])))
        return b.at(
            self.memory, b.mul(number, self.panel.vectors * self.tile.lanes), self.tile.scalar
        )


def _equal(total: int, most: int) -> int:
    """The length of pieces as equal as can be: whole unrolled steps, as all of them are if that
    is true of the total.
    """
    pieces = -(-total // most)
    return -(-total // (pieces * UNROLL)) * UNROLL


def _span(tile: Tile, dim: int, piece: Value) -> Run:
    """The rows of a task along one dimension, whatever taps they meet."""
    b, sharing = tile.b, tile.sharing
    each = tile.sizes(sharing.along if dim == len(tile.form.axes) - 1 else sharing.across)
    phase = tile.phase(dim, b.i64(0))
    first = b.mul(piece, each)
    last = b.minimum(b.add(first, each), phase.rows)
    none = Taps(b.i64(0), b.i64(0), 1, b.i64(0), 1)
    return Run(phase, first, b.maximum(b.sub(last, first), 0), none)


def _meeting(tile: Tile, dim: int, span: Run, tap: Value) -> Run:
    """The rows among those of a task that meet one tap."""
    b, axis = tile.b, tile.form.axes[dim]
    lengths = tile.form.data.shape[dim], tile.node.shape[dim]
    first, last = taps.outputs(b, tile.sizes, axis, tap, *lengths)
    first = b.maximum(first, span.first)
    last = b.minimum(last, b.add(span.first, span.count))
    start = b.sub(b.mul(first, axis.stride), tile.sizes(axis.low))
    place = b.add(start, b.mul(tap, axis.dilation))
    live = Taps(b.i64(1), tap, 1, place, axis.dilation)
    return Run(span.phase, first, b.maximum(b.sub(last, first), 0), live)


def _one(tile: Tile, live: Taps, number: Value) -> Taps:
    """One of the live taps of an output alone."""
    b = tile.b
    tap = b.add(live.tap, b.mul(number, live.tap_step))
    place = b.add(live.place, b.mul(number, live.place_step))
    return replace(live, count=b.i64(1), tap=tap, place=place)

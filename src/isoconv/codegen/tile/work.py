"""One panel of filters over rows that meet the same taps: register tiles, their sums and ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from isoconv.codegen import taps
from isoconv.codegen.edges import blocks, tiles
from isoconv.codegen.emit import Value, vector_type
from isoconv.codegen.index import Coord, Index
from isoconv.codegen.tile.rows import Run, Tile
from isoconv.plan.tiles import Panel

UNROLL = 4
# Sums of at most so many terms are short: rows are not folded where one in _IDLE at most is idle.
SHORT, _IDLE = 64, 4
# Those that are folded are so few at once that their pointers have registers.
_FEW = 6
# Rows of the smallest tiles.
_FEWEST = 2
# Weights that come from far away are asked for so many rows ahead.
_AHEAD = 32


def _unrolled(length: int | None) -> int:
    """Steps written out in a loop of `length` steps: as many as divide it, if a few do."""
    if length is None:
        return UNROLL
    return next((u for u in (UNROLL, 5, 6, 7, 3, 2) if length % u == 0), min(length, UNROLL))


@dataclass(frozen=True)
class Row:
    """One row of a tile: its place in the output, and where its window begins, relative to that of
    the run's first row: an offset known at run time and a constant one.
    """

    index: Index
    window: Value
    offset: int


@dataclass(frozen=True)
class Piece:
    """`length` channels of a tap from number `first` of their group on: all of them if that is how
    many there are. most: rows of weights that are summed before what comes next.
    """

    first: Value
    length: Value
    most: int


@dataclass
class Work:
    """One panel of filters over rows that meet the same taps.

    channel: the first of the group; weight: where in a row of weights the panel begins; across:
    None for one axis of rows; piece: what is summed.
    """

    tile: Tile
    panel: Panel
    filter: Value
    channel: Value
    weight: Value
    places: Sequence[Coord]
    outer: Sequence[taps.Taps]
    across: Run | None
    along: Run
    piece: Piece

    def rows(self) -> None:
        """Tiles over all the rows; one row at a time where they are too few for a tile."""
        tile, b, deep, along = self.tile, self.tile.b, self.panel.rows, self.along
        if self.across is None:
            rest = along.count
            if tile.form.apart:
                # Few rows are the rule at the points of short lines.
                whole = b.select(b.compare("sge", rest, b.i64(deep)), rest, b.i64(0))
                tiles(tile.pull, whole, deep, lambda at, deep: self._tile(self.line(at, deep), at))
                rest, deep = b.sub(rest, whole), min(deep, _FEWEST)
            blocks(tile.pull, rest, deep, lambda at, deep: self._tile(self.line(at, deep), at))
            return
        lines = self.across.count
        if tile.foldable:
            # Rows of one line need no pointers; where sums are short, that is worth some idle rows.
            idle = b.sub(b.mul(b.floordiv(b.add(along.count, deep - 1), deep), deep), along.count)
            most = b.select(b.compare("sge", along.count, b.i64(deep)), along.count, b.i64(-1))
            alone = b.compare("sle", b.mul(idle, _IDLE), most)
            folded = b.mul(lines, along.count)
            few = deep
            if tile.form.terms <= SHORT:
                folded, few = b.select(alone, b.i64(0), folded), min(deep, _FEW)
            blocks(tile.pull, folded, few, lambda at, deep: self._tile(self.fold(at, deep), at))
            if tile.form.terms > SHORT:
                return
            lines = b.select(alone, lines, b.i64(0))
        with b.loop(0, lines) as loop, tile.pull.scope():
            cover = tiles if tile.foldable else blocks
            cover(
                tile.pull,
                along.count,
                deep,
                lambda at, deep: self._tile(self.line(at, deep, loop.index), at),
            )

    def _tile(self, rows: Sequence[Row], at: Value) -> None:
        zeros = [self.tile.b.const(self.tile.vector, 0)] * (len(rows) * self.panel.vectors)
        totals = self.sum(rows, zeros, self.tile.b.floordiv(at, self.panel.rows))
        for r, row in enumerate(rows):
            self.finish(row.index, totals[r * self.panel.vectors : (r + 1) * self.panel.vectors])

    def line(self, at: Value, deep: int, across: Value | None = None) -> list[Row]:
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
            Row((*place, Coord(b.add(output, r * along.phase.out_step))), start, r * step)
            for r in range(deep)
        ]

    def fold(self, at: Value, deep: int) -> list[Row]:
        """The rows of a tile that begins with row `at` of all lines, one after the other.

        Their places are counted along the first line and on: nothing asks which line they are in.
        """
        tile, b, along, across = self.tile, self.tile.b, self.along, self.across
        assert across is not None
        i = b.emit("i64", f"udiv {at}, {b.maximum(along.count, 1).text}")
        j = b.sub(at, b.mul(i, along.count))
        step, out_step = along.phase.step * tile.form.data_width, along.phase.out_step
        down = self._down(across)
        out_down = b.mul(tile.sizes(tile.form.places[-1]), across.phase.out_step)
        window = b.add(b.mul(i, down), b.mul(j, step))
        output = b.add(along.output(b, j), b.mul(i, out_down))
        back = b.sub(along.count, 1)
        wrap, out_wrap = b.sub(down, b.mul(back, step)), b.sub(out_down, b.mul(back, out_step))
        place = Coord(across.output(b, b.i64(0)))
        rows = [Row((place, Coord(output)), window, 0)]
        for _ in range(1, deep):
            j = b.add(j, 1)
            ends = b.compare("eq", j, along.count)
            j = b.select(ends, b.i64(0), j)
            window = b.add(window, b.select(ends, wrap, b.i64(step)))
            output = b.add(output, b.select(ends, out_wrap, b.i64(out_step)))
            rows.append(Row((place, Coord(output)), window, 0))
        return rows

    def _down(self, across: Run) -> Value:
        """Elements of the data from one line of rows to the next."""
        form = self.tile.form
        line = self.tile.sizes(form.data.shape[-2] * form.data_width)
        return self.tile.b.mul(line, across.phase.step)

    # -- the sum ------------------------------------------------------------------------------

    def sum(
        self, rows: Sequence[Row], totals: Sequence[Value], number: Value | None = None
    ) -> Sequence[Value]:
        """The sums of some rows: all taps of the outer axes, then of the inner one.

        number: that of the tile, where weights are to be asked for before their turn.
        """
        tile, b, form = self.tile, self.tile.b, self.tile.form
        live = self.along.live
        outer = [*self.outer, *([] if self.across is None else [self.across.live])]

        def lines(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
            data, first = self._start(outer, numbers)
            if tile.merged:
                length = b.mul(live.count, self.piece.length)
                return self._run(rows, data, first, length, carried, number)
            data_step = live.place_step * form.data_width
            row_step = live.tap_step * form.tap_rows

            def inner(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
                (j,) = numbers
                x = b.at(data, b.mul(j, data_step), tile.scalar)
                row = b.add(first, b.mul(j, row_step))
                return self._run(rows, x, row, self.piece.length, carried, number)

            return tile.pull.nest([live.count], carried, inner)

        return tile.pull.nest([t.count for t in outer], totals, lines)

    def _start(self, outer: Sequence[taps.Taps], numbers: Sequence[Value]) -> tuple[Value, Value]:
        """Where data of the first inner tap begin, for the first row of the run, and the number of
        the first row of weights.
        """
        tile, b, form = self.tile, self.tile.b, self.tile.form
        places = [
            Coord(b.add(t.place, b.mul(j, t.place_step)))
            for t, j in zip(outer, numbers, strict=True)
        ]
        index = (
            *places,
            Coord(self.along.live.place),
            Coord(b.add(self.channel, self.piece.first)),
        )
        offset = tile.pull.lanes.offset(index, tile.pull.strides(form.data.shape)).base
        chosen = b.i64(0)
        for axis, t, j in zip(form.axes[:-1], outer, numbers, strict=True):
            found = b.add(t.tap, b.mul(j, t.tap_step))
            chosen = b.add(b.mul(chosen, axis.taps), found)
        chosen = b.add(b.mul(chosen, form.inner.taps), self.along.live.tap)
        before = b.add(b.mul(chosen, form.tap_rows), self.piece.first)
        if form.apart:
            before = b.add(before, self.channel)
        return b.at(tile.frame.pointers[form.data], offset, tile.scalar), before

    def _weights(self, row: Value, filter_: Value) -> Value:
        """The address of weights; panels begin with a line of the cache."""
        b, form = self.tile.b, self.tile.form
        column = b.mul(filter_, form.terms) if form.in_lines else filter_
        place = b.add(b.mul(row, form.weight_width), column)
        return b.at(self.tile.frame.pointers[form.weights], place, self.tile.scalar)

    def _later(self, row: Value, unroll: int, number: Value) -> Value:
        """Where the first of the weights stand that are asked for while products from a row of
        weights on are summed: a row for each unrolled step, from the piece or panel that is next.
        """
        b, piece, terms = self.tile.b, self.piece, self.tile.form.terms
        turn = b.select(b.compare("slt", number, b.i64(unroll)), number, b.i64(0))
        begin = b.mul(turn, piece.most // unroll)
        panel = b.add(self.weight, self.panel.width)
        if piece.most == terms:
            return self._weights(b.add(begin, b.floordiv(row, unroll)), panel)
        after = b.add(row, piece.most)
        ends = b.compare("sge", after, b.i64(terms))
        after = b.select(ends, b.i64(0), after)
        return self._weights(b.add(begin, after), b.select(ends, panel, self.weight))

    def _run(
        self,
        rows: Sequence[Row],
        data: Value,
        first: Value,
        length: Value,
        totals: Sequence[Value],
        number: Value | None,
    ) -> Sequence[Value]:
        """Adds `length` products, side by side in the data and row by row in the weights."""
        b, form = self.tile.b, self.tile.form
        pointers, weights = self._pointers(data, rows), self._weights(first, self.weight)
        known = int(length.text) if length.text.isdigit() else None
        unroll = _unrolled(known)
        whole = b.mul(b.floordiv(length, unroll), unroll)
        sums: Sequence[Value] = self._cut(totals, self._lanes())
        later = None
        if number is not None and form.in_lines and form.far:
            later = self._later(first, unroll, number)
        if whole.text != "0":
            with b.loop(
                0, whole, step=unroll, carried=sums, at_least_once=known is not None
            ) as loop:
                sums = loop.carried
                if later is not None:
                    place = b.mul(b.floordiv(loop.index, unroll), form.weight_width)
                    self._fetch_weights(b.at(later, place, self.tile.scalar), 0)
                if form.terms > SHORT:
                    self._fetch(pointers, len({row.index for row in rows}), loop.index)
                for u in range(unroll):
                    sums = self._step(pointers, weights, loop.index, u, sums)
                loop.next = tuple(sums)
            sums = loop.results
        if whole.text != length.text and not (known is None and form.summed % unroll == 0):
            # In a loop even if known: LLVM spills where straight-line products meet the epilogue.
            with b.loop(whole, length, carried=sums) as loop:
                loop.next = tuple(self._step(pointers, weights, loop.index, 0, loop.carried))
            sums = loop.results
        return self._cut(sums, [self.tile.lanes] * self.panel.vectors)

    def _lanes(self) -> list[int]:
        """The lanes of a row's vectors: half of them in the last one if its filters need no more,
        where vectors are wider than most processors' multipliers.
        """
        tile, panel = self.tile, self.panel
        rest = panel.width - (panel.vectors - 1) * tile.lanes
        short = tile.wide and rest <= tile.lanes // 2
        return [tile.lanes] * (panel.vectors - 1) + [tile.lanes // 2 if short else tile.lanes]

    def _cut(self, sums: Sequence[Value], lanes: Sequence[int]) -> list[Value]:
        """The vectors of rows with so many lanes, those that are new with any value."""
        return [self.tile.b.resize(sums[i], lanes[i % len(lanes)]) for i in range(len(sums))]

    def _pointers(self, data: Value, rows: Sequence[Row]) -> list[tuple[Value, int]]:
        """A pointer and a constant offset for each row, for windows that begin at `data`.

        Rows that share elements within an unrolled step get pointers of their own, opaque to LLVM:
        it would merge their loads, keep them in registers and spill.
        """
        b, scalar = self.tile.b, self.tile.scalar
        pairs = [pair for pair in pairwise(rows) if pair[0].window == pair[1].window]
        if all(row.offset - before.offset >= UNROLL for before, row in pairs):
            # Opaque as well: LLVM is slow to see through nested loops of addresses.
            begin = {
                w: b.opaque(b.at(data, w, scalar)) for w in dict.fromkeys(r.window for r in rows)
            }
            return [(begin[row.window], row.offset) for row in rows]
        return [
            (b.opaque(b.at(b.at(data, row.window, scalar), row.offset, scalar)), 0) for row in rows
        ]

    def _fetch(self, pointers: Sequence[tuple[Value, int]], rows: int, index: Value) -> None:
        """Asks for what the next rows read: processors foresee no streams as short as these."""
        b, scalar = self.tile.b, self.tile.scalar
        ahead = rows * self.along.phase.step * self.tile.form.data_width
        for pointer, offset in pointers:
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
        if tile.form.far:
            self._fetch_weights(row, unrolled + _AHEAD)
        lanes = self._lanes()
        loaded = [
            b.load_masked(
                b.at(row, unrolled * filters + column, tile.scalar),
                vector_type(tile.scalar, lanes[v]),
                self._mask(v, lanes[v]),
            )
            for v, column in enumerate(self._columns())
        ]
        result = []
        for r, (pointer, offset) in enumerate(rows):
            element = b.at(b.at(pointer, index, tile.scalar), offset + unrolled, tile.scalar)
            x = b.splat(b.load(element, tile.scalar), tile.lanes)
            if lanes[-1] < tile.lanes < sum(lanes):
                x = b.whole(x)
            for v in range(vectors):
                factor = b.resize(x, lanes[v])
                result.append(b.fma(factor, loaded[v], sums[r * vectors + v]))
        return result

    def _columns(self) -> list[int]:
        """Where the vectors of a panel stand in a row of weights."""
        tile = self.tile
        return [tile.form.column(v * tile.lanes) for v in range(self.panel.vectors)]

    def _fetch_weights(self, row: Value, ahead: int) -> None:
        """Asks for the weights of a row so many further on."""
        b, form = self.tile.b, self.tile.form
        for column in self._columns():
            b.prefetch(b.at(row, ahead * form.weight_width + column, self.tile.scalar))

    def _mask(self, vector: int, lanes: int) -> Value | None:
        """The filters of a vector of so many lanes that exist; None for all."""
        return self.tile.b.mask_first(self.panel.width - vector * self.tile.lanes, lanes)

    # -- the epilogue -------------------------------------------------------------------------

    def finish(self, place: Index, totals: Sequence[Value]) -> None:
        tile, b = self.tile, self.tile.b
        for v, total in enumerate(totals):
            filters = Coord(b.add(self.filter, v * tile.lanes), 1)
            index = (*self.places, *place, filters)
            mask = self._mask(v, tile.lanes)
            tile.frame.finish(tile.pull, tile.form.rows, total, index, mask)

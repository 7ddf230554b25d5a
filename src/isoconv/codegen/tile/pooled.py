"""Rows that are the largest of several sums: the positions of a window of max pooling.

Where all of these meet the same taps, a tile holds them together; at edges, and where rows are few,
it takes one position of all its rows after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

from isoconv.codegen.edges import blocks, tiles
from isoconv.codegen.emit import Value
from isoconv.codegen.reductions import larger, lowest
from isoconv.codegen.tile.rows import Run
from isoconv.codegen.tile.work import SHORT, Row, Work

At = Callable[[Value, int], list[Row]]


def rows(work: Work) -> None:
    """All the rows of a task that meet the same taps."""
    tile, b, across, along = work.tile, work.tile.b, work.across, work.along
    assert across is not None
    if tile.foldable and tile.form.terms > SHORT:
        _cover(work, b.mul(across.count, along.count), work.fold)
        return
    with b.loop(0, across.count) as loop, tile.pull.scope():
        _cover(work, along.count, lambda at, deep: work.line(at, deep, loop.index))


def _cover(work: Work, count: Value, at: At) -> None:
    pull, b, deep = work.tile.pull, work.tile.b, work.tile.form.deep(work.panel)
    inside = b.compare("sge", count, b.i64(deep))
    for dim, run in _runs(work):
        inside = b.op("and", inside, _meets_all(work, dim, run))
    whole = b.select(inside, count, b.i64(0))
    tiles(pull, whole, deep, lambda first, deep: _together(work, at(first, deep)))
    # Sums and the largest so far share the registers.
    deep = work.panel.rows // 2
    rest = b.sub(count, whole)
    blocks(pull, rest, deep, lambda first, deep: _in_turn(work, at(first, deep)))


def _runs(work: Work) -> list[tuple[int, Run]]:
    """The rows of the last two dimensions, each with its dimension."""
    assert work.across is not None
    last = len(work.tile.form.axes) - 1
    return [(last - 1, work.across), (last, work.along)]


def _meets_all(work: Work, dim: int, run: Run) -> Value:
    """Whether all sums of a row meet all taps along one dimension."""
    tile, b, form = work.tile, work.tile.b, work.tile.form
    end = form.taps(b, tile.sizes, dim, run.output(b, b.i64(0)), form.window[dim] - 1)
    most = b.i64(2 * form.axes[dim].taps)
    return b.compare("eq", b.add(run.live.count, end.count), most)


def _together(work: Work, rows: Sequence[Row]) -> None:
    """Some rows, each with all its sums in registers."""
    tile, b, form, vectors = work.tile, work.tile.b, work.tile.form, work.panel.vectors
    line = tile.sizes(form.data.shape[-2] * form.data_width)
    sums = []
    for row in rows:
        for i in range(form.window[-2]):
            window = b.add(row.window, b.mul(line, i * form.axes[-2].stride))
            sums += [
                Row(row.index, window, row.offset + j * form.inner.stride * form.data_width)
                for j in range(form.window[-1])
            ]
    zero = b.const(tile.vector, 0)
    totals = work.sum(sums, [zero] * (len(sums) * vectors))
    each = form.sums * vectors
    for r, row in enumerate(rows):
        mine = totals[r * each : (r + 1) * each]
        work.finish(row.index, [_largest(work, mine[v::vectors]) for v in range(vectors)])


def _largest(work: Work, totals: Sequence[Value]) -> Value:
    return reduce(lambda best, total: larger(work.tile.pull, total, best), totals)


def _in_turn(work: Work, rows: Sequence[Row]) -> None:
    """Some rows, each of their sums after the other, with the taps that it meets."""
    tile, b, form, vectors = work.tile, work.tile.b, work.tile.form, work.panel.vectors
    count = len(rows) * vectors

    def add(numbers: list[Value], best: tuple[Value, ...]) -> Sequence[Value]:
        across, along = (
            replace(run, live=form.taps(b, tile.sizes, dim, run.output(b, b.i64(0)), number))
            for (dim, run), number in zip(_runs(work), numbers, strict=True)
        )
        moved = replace(work, across=across, along=along)
        totals = moved.sum(rows, [b.const(tile.vector, 0)] * count)
        return [larger(tile.pull, new, old) for new, old in zip(totals, best, strict=True)]

    start = [b.const(tile.vector, lowest(tile.node))] * count
    best = tile.pull.nest([b.i64(each) for each in form.window[-2:]], start, add)
    for r, row in enumerate(rows):
        work.finish(row.index, best[r * vectors : (r + 1) * vectors])

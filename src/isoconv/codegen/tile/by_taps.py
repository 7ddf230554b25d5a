"""Forms with many weights, one tap after another: each adds its products to sums that lie where the
outputs do, so that the weights of a tap stay in cache for all rows of a task.

The outputs that meet a tap are a block of rows, whatever their other taps: no row stands alone
because it is at an edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from isoconv import dtypes
from isoconv.codegen import taps
from isoconv.codegen.emit import Value
from isoconv.codegen.index import Coord
from isoconv.codegen.taps import Taps
from isoconv.codegen.tile.rows import Run, Tile
from isoconv.codegen.tile.work import UNROLL, Piece, Work

# Channels of a tap that are added at once: their weights leave room in the cache whatever the
# distance between rows of weights, which is often a power of 2.
_CHANNELS = 128
# Products of one tap that an output must have, for its sum to be worth a trip to memory, and the
# bytes of the weights of a panel, taken to be of so many filters, that are many.
_PRODUCTS, _MANY, _PANEL = 64, 1 << 18, 64


def pays(tile: Tile) -> bool:
    """Whether sums are to be kept where the outputs lie: there is such a place, and it pays."""
    form, node = tile.form, tile.node
    panel = form.terms * min(form.filters, _PANEL) * dtypes.BYTES[node.dtype]
    return (
        form.forward
        and tile.holds_sums
        and form.summed >= _PRODUCTS
        and form.terms > min(form.summed, _CHANNELS)
        and panel >= _MANY
    )


def work(tile: Tile, row: tuple[Coord, ...]) -> None:
    """One task: zeros, the products of each tap in turn, then the epilogue."""
    b, form, last = tile.b, tile.form, len(tile.form.axes) - 1
    places, column = row[: max(last - 1, 0)], row[-1].base
    outer = [form.taps(b, tile.sizes, dim, c.base) for dim, c in enumerate(places)]
    each = _equal(form.summed, _CHANNELS)
    pieces = -(-form.summed // each)
    none = Piece(b.i64(0), b.i64(0))
    across = _span(tile, last - 1, row[-3].base) if last else None
    along = _span(tile, last, row[-2].base)
    for panel in tile.columns(column):
        whole = Work(tile, *panel, places, outer, across, along, none)
        with _each_row(whole) as at:
            whole.clear(at)

        def add(
            numbers: list[Value], carried: tuple[Value, ...], whole: Work = whole
        ) -> Sequence[Value]:
            *before, right, piece = numbers
            before, down = before[: len(outer)], before[len(outer) :]
            fixed = [_one(tile, t, j) for t, j in zip(outer, before, strict=True)]
            rows = across and _meeting(tile, last - 1, across, down[-1])
            columns = _meeting(tile, last, along, right)
            first = b.mul(piece, each)
            length = b.minimum(b.sub(b.i64(form.summed), first), each)
            channels = Piece(first, b.i64(each) if form.summed % each == 0 else length)
            replace(whole, outer=fixed, across=rows, along=columns, piece=channels).add()
            return []

        counts = [
            *(t.count for t in outer),
            *(b.i64(axis.taps) for axis in form.axes[-2:]),
            b.i64(pieces),
        ]
        tile.pull.nest(counts, [], add)
        with _each_row(whole) as at:
            whole.close(at)


def _equal(total: int, most: int) -> int:
    """The length of pieces as equal as can be: whole unrolled steps, as all of them are if that
    is true of the total.
    """
    pieces = -(-total // most)
    return -(-total // (pieces * UNROLL)) * UNROLL


@contextmanager
def _each_row(work: Work) -> Iterator[tuple[Value, Value]]:
    """Runs over all the rows of a task."""
    tile, b = work.tile, work.tile.b
    lines = b.i64(1) if work.across is None else work.across.count
    with b.loop(0, lines) as line, b.loop(0, work.along.count) as place, tile.pull.scope():
        yield line.index, place.index


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

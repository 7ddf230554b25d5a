"""The form's faces y and x as products of register tiles, the input read in place.

Rows of a tile are outputs that meet the same taps, along the last two axes of places: each has a
pointer to its window, so no im2col is needed and small images fill tiles. Every output is one chain
of fused multiply-adds over ascending input positions and channels, whatever the tile.
"""

from __future__ import annotations

from isoconv.codegen.index import Coord
from isoconv.codegen.tile import by_taps, pooled, streamed
from isoconv.codegen.tile.form import tasks
from isoconv.codegen.tile.rows import Tile
from isoconv.codegen.tile.work import Piece, Work
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine

__all__ = ["emit", "tasks"]


def emit(kernel: Kernel, machine: Machine) -> str:
    """The kernel of one form with its epilogue."""
    tile = Tile(kernel, machine)
    work = by_taps.work if tile.form.by_taps(machine) else _work
    with (
        tile.frame.rows(tile.sharing.shape, tile.frame.begin, tile.frame.end) as task,
        tile.pull.scope(),
    ):
        place, column = tile.sharing.split(task)
        if streamed.may_pay(tile):
            few = streamed.pays(tile)
            with tile.b.when(few), tile.pull.scope():
                streamed.work(tile, column)
            with tile.b.when(tile.b.op("xor", few, tile.b.const("i1", 1))), tile.pull.scope():
                work(tile, place, column)
        else:
            work(tile, place, column)
    return tile.frame.text()


def _work(tile: Tile, place: tuple[Coord, ...], column: Coord) -> None:
    """One task: runs of rows that meet the same taps, each with whole sums in registers."""
    b, form, last = tile.b, tile.form, len(tile.form.axes) - 1
    places = place[: max(last - 1, 0)]
    whole = Piece(b.i64(0), b.i64(form.summed), form.terms)
    rows = pooled.rows if form.sums > 1 else Work.rows
    outer = [form.taps(b, tile.sizes, dim, c.base) for dim, c in enumerate(places)]
    with tile.runs(last, place[-1].base, tile.sharing.along) as along:
        if last == 0:
            for panel in tile.columns(column.base):
                rows(Work(tile, *panel, places, [], None, along, whole))
            return
        with tile.runs(last - 1, place[-2].base, tile.sharing.across) as across:
            for panel in tile.columns(column.base):
                rows(Work(tile, *panel, places, outer, across, along, whole))

"""Few rows of outputs and many weights: these are read once, in the order in which they lie, a few
whole rows at a time; sums lie where the outputs do.

Reading panel after panel would jump from row to row of the weights, which takes twice as long where
they come from memory.
"""

from __future__ import annotations

from collections.abc import Callable

from isoconv.codegen.emit import Value
from isoconv.codegen.index import Coord
from isoconv.codegen.tile.form import FEW
from isoconv.codegen.tile.rows import Tile

# Of so many weights, few rows of outputs take less time than the weights; of fewer, those that do
# not fill a tile.
_HUGE = 1 << 22
# Rows of weights that are read side by side.
_STEPS = 8


def may_pay(tile: Tile) -> bool:
    """Whether this is a kernel of many weights whose sums can lie where the outputs do."""
    return tile.form.streams and tile.holds_sums


def pays(tile: Tile) -> Value:
    """Whether the rows are few, and all of them in one task."""
    huge = tile.form.terms * tile.form.filters >= _HUGE
    few = FEW if huge else tile.panels[0].rows - 1
    most = tile.b.minimum(tile.sizes(tile.sharing.along), few)
    return tile.b.compare("sle", tile.sizes(tile.form.places[0]), most)


def work(tile: Tile, column: Coord) -> None:
    """One task: some neighbouring filters of all rows."""
    _Stream(tile, column.base).work()


class _Stream:
    """Filters first..last-1 of all rows."""

    def __init__(self, tile: Tile, column: Value) -> None:
        b, width = tile.b, tile.panels[0].width * tile.sharing.panels
        self.tile, self.b, self.form = tile, b, tile.form
        self.first = b.mul(column, width)
        self.last = b.minimum(b.add(self.first, width), tile.form.filters)
        self.rows = tile.sizes(tile.form.places[0])

    def work(self) -> None:
        b, zero = self.b, self.b.const(self.tile.vector, 0)
        with b.loop(0, self.rows) as row:
            self._along(lambda filter_, mask: self._put(zero, row.index, filter_, mask))
        whole = self.form.terms // _STEPS * _STEPS
        for start, stop, steps in ((0, whole, _STEPS), (whole, self.form.terms, 1)):
            with b.loop(start, stop, step=steps) as term, b.loop(0, self.rows) as row:
                self._add(row.index, term.index, steps)
        with b.loop(0, self.rows) as row:
            self._along(lambda filter_, mask: self._close(row.index, filter_, mask))

    def _along(self, body: Callable[[Value, Value | None], None]) -> None:
        """`body(filter, mask)` for all vectors of filters."""
        b, lanes = self.b, self.tile.lanes
        length = b.sub(self.last, self.first)
        whole = b.mul(b.floordiv(length, lanes), lanes)
        with b.loop(0, whole, step=lanes) as loop, self.tile.pull.scope():
            body(b.add(self.first, loop.index), None)
        if self.form.filters % lanes:
            rest = b.sub(length, whole)
            with b.when(b.compare("sgt", rest, b.i64(0))), self.tile.pull.scope():
                body(b.add(self.first, whole), b.mask_below(rest, lanes))

    def _add(self, row: Value, term: Value, steps: int) -> None:
        """Adds the products with some rows of weights to the sums of a row."""
        b, tile, form = self.b, self.tile, self.form
        data, weights = (tile.frame.pointers[part] for part in (form.data, form.weights))
        window = b.at(b.at(data, b.mul(row, form.data_width), tile.scalar), term, tile.scalar)
        elements = [
            b.splat(b.load(b.at(window, step, tile.scalar), tile.scalar), tile.lanes)
            for step in range(steps)
        ]
        line = b.at(weights, b.mul(term, form.weight_width), tile.scalar)

        def add(filter_: Value, mask: Value | None) -> None:
            total = self._get(row, filter_, mask)
            for step, element in enumerate(elements):
                place = b.at(
                    b.at(line, filter_, tile.scalar), step * form.weight_width, tile.scalar
                )
                total = b.fma(element, b.load_masked(place, tile.vector, mask), total)
            self._put(total, row, filter_, mask)

        self._along(add)

    def _close(self, row: Value, filter_: Value, mask: Value | None) -> None:
        """The epilogue of sums that are complete."""
        tile, index = self.tile, (Coord(row), Coord(filter_, 1))
        total = self._get(row, filter_, mask)
        tile.frame.finish(tile.pull, tile.node, total, index, mask)

    def _get(self, row: Value, filter_: Value, mask: Value | None) -> Value:
        tile, index = self.tile, (Coord(row), Coord(filter_, 1))
        shape = tile.node.shape
        return tile.pull.load(tile.frame.targets[0], shape, tile.node.dtype, index, mask)

    def _put(self, total: Value, row: Value, filter_: Value, mask: Value | None) -> None:
        tile, index = self.tile, (Coord(row), Coord(filter_, 1))
        tile.pull.store(total, tile.frame.targets[0], tile.root, index, mask)

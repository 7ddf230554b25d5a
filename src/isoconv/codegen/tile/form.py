"""The form's faces y and x as sums over taps and channels, and how their outputs are shared out.

Where a pooling joins the form, a row is one of its outputs: the largest of several sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from isoconv import dtypes
from isoconv.codegen import taps
from isoconv.codegen.emit import Builder, Value
from isoconv.codegen.index import Coord, Sizes
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim, Shape, ceildiv, maximum, number, product
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine
from isoconv.plan.pools import window
from isoconv.plan.ragged import taps_pay
from isoconv.plan.tiles import Panel, block, large_block, panels

# So many weights come from far away. So many of a Dense layer are read in their order, those of so
# many filters side by side, and so many rows of outputs are one task.
_FAR, _STREAMED, _SIDE_BY_SIDE, FEW = 1 << 16, 1 << 18, 256, 16
# Products of one tap that an output must have, for its sum to be worth a trip to memory, and the
# bytes of the weights of a panel, taken to be of so many filters, that are many.
_PRODUCTS, _MANY, _PANEL = 64, 1 << 18, 64
# Products of one tap with which sums are worth the trip where tiles would be idle otherwise.
_SOME = 32
# Channels of a tap that are added at once: their weights leave room in the cache whatever the
# distance between rows of weights, which is often a power of 2.
CHANNELS = 128


@dataclass(frozen=True)
class Form:
    """A form to be solved, seen as sums over taps and channels of one data tensor.

    summed: channels each output sums over; filters: outputs of one group; axes: one for each
    dimension but the last, those of the batch being windows of one tap. rows: the node whose
    places are rows, the form or a pooling of it; window: the sums of a row along each dimension.
    """

    node: Node
    rows: Node
    data: Node
    weights: Node
    forward: bool
    summed: int
    filters: int
    axes: tuple[Axis, ...]
    window: tuple[int, ...]

    @property
    def data_width(self) -> int:
        """Channels of the data: elements from one position to the next."""
        return number(self.data.shape[-1])

    @property
    def weight_width(self) -> int:
        """Elements from one row of the weights to the next."""
        return number(self.weights.shape[-1])

    def column(self, filter_: int) -> int:
        """Where the weights of a filter stand in a row, beside those of the first one."""
        if not self.in_lines:
            return filter_
        line, place = divmod(filter_, self.weight_width)
        return line * self.weight_width * self.terms + place

    @property
    def inner(self) -> Axis:
        return self.axes[-1]

    @property
    def places(self) -> Shape:
        """How many rows there are along each dimension."""
        return self.rows.shape[:-1]

    @property
    def sums(self) -> int:
        """The sums of a row."""
        return prod(self.window)

    def deep(self, panel: Panel) -> int:
        """The rows of a tile."""
        return panel.rows // self.sums

    @property
    def streams(self) -> bool:
        """Whether there are rows, no windows, and more weights than the caches near a core hold."""
        dense = self.forward and len(self.axes) == 1 and self.node["groups"] == 1
        dense = dense and not self.in_lines
        return dense and self.inner == Axis(1) and self.terms * self.filters >= _STREAMED

    @property
    def terms(self) -> int:
        """Products that an output sums at most."""
        return self.summed * prod(axis.taps for axis in self.axes)

    @property
    def far(self) -> bool:
        """Whether weights come from beyond the nearest caches when they are first read."""
        return self.terms * self.filters * int(self.node["groups"]) >= _FAR

    @property
    def large(self) -> bool:
        """Whether the weights of a panel do not stay in the nearest caches, in several pieces that
        are worth a trip of the sums to memory, one for each row.
        """
        panel = self.terms * min(self.filters, _PANEL) * dtypes.BYTES[self.node.dtype]
        return (
            self.forward
            and self.sums == 1
            and self.summed >= _PRODUCTS
            and self.terms > min(self.summed, CHANNELS)
            and panel >= _MANY
        )

    def by_taps(self, machine: Machine) -> bool:
        """Whether sums lie in memory, to which one tap after another adds its products."""
        return self.large or self._ragged(machine)

    def _ragged(self, machine: Machine) -> bool:
        """Whether a small image would leave tiles idle at its edges."""
        axes = [
            (axis, self.data.shape[dim], self.node.shape[dim])
            for dim, axis in list(enumerate(self.axes))[-2:]
            if dim >= self.node.rank - 1 - len(self.node["axes"])
        ]
        known = all(isinstance(size, int) for axis, *sizes in axes for size in (axis.low, *sizes))
        if not (self.forward and self.sums == 1 and self.summed >= _SOME and axes and known):
            return False
        deep = panels(self.filters, self.node.dtype, machine)[0].rows
        sized = tuple((axis, number(i), number(o)) for axis, i, o in axes)
        return taps_pay(sized, self.summed, deep)

    @property
    def apart(self) -> bool:
        """Whether weights lie group by group: [k..., g, c, f]."""
        return self.node["groups"] > 1 and self.weights.rank == len(self.node["axes"]) + 3

    @property
    def in_lines(self) -> bool:
        """Whether weights lie in lines: [l, k..., c, f/l]."""
        return self.node["groups"] == 1 and self.weights.rank == len(self.node["axes"]) + 3

    @property
    def tap_rows(self) -> int:
        """Rows of weights from one tap to the next."""
        return self.summed * (self.node["groups"] if self.apart else 1)

    def phases(self, axis: Axis) -> int:
        """Outputs of different phase meet different taps: as many as the stride, for the face x."""
        return 1 if self.forward else axis.stride

    def taps(
        self, b: Builder, sizes: Sizes, dim: int, row: Value, number: Value | int = 0
    ) -> taps.Taps:
        """The live taps of a row along one dimension, of the sum that has this number there."""
        axis = self.axes[dim]
        output = b.add(b.mul(row, self.window[dim]), number)
        find = taps.forward if self.forward or axis == Axis(1) else taps.backward
        return find(b, sizes, axis, output, self.data.shape[dim])


def solved(kernel: Kernel) -> Form:
    """The face y, or the face x with its weights stored [k..., f, g*c], as a `Form`."""
    node = kernel.anchor
    assert node is not None
    pool = next((each for each in kernel.graph.nodes if each.op == "pool_max"), None)
    forward = node["face"] == "y"
    data, weights = node.inputs if forward else (node.inputs[1], node.inputs[0])
    filters = number(node.shape[-1]) // node["groups"]
    batch = (Axis(1),) * (node.rank - 1 - len(node["axes"]))
    axes = (*batch, *node["axes"])
    return Form(
        node,
        pool or node,
        data,
        weights,
        forward,
        number(weights.shape[-2]),
        filters,
        axes,
        window(pool) if pool else (1,) * len(axes),
    )


@dataclass(frozen=True)
class Sharing:
    """How outputs are shared out: blocks of rows along the last two axes of places.

    places, columns: the tasks, by places and by filters; across, along: rows of a task on the last
    but one axis, and on the last; panels: those of filters in a task; filters_first: whether all
    the tasks of a panel follow each other.
    """

    places: tuple[Dim, ...]
    columns: int
    across: Dim
    along: Dim
    panels: int
    filters_first: bool

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The tasks in their order."""
        if self.filters_first:
            return (self.columns, *self.places)
        return (*self.places, self.columns)

    def split(self, task: tuple[Coord, ...]) -> tuple[tuple[Coord, ...], Coord]:
        """The number of a task among places, and among filters."""
        if self.filters_first:
            return task[1:], task[0]
        return task[:-1], task[-1]


def sharing(form: Form, machine: Machine) -> Sharing:
    """The tasks: places before the last two axes, blocks along these, panels of filters (all of
    them in one task where groups share the input's lines, all of one group where their weights lie
    apart).
    """
    node = form.node
    each = panels(form.filters, node.dtype, machine)
    together = max(_SIDE_BY_SIDE // each[0].width, 1) if form.streams else 1
    count = sum(panel.count for panel in each)
    columns = -(-count // together) if node["groups"] == 1 else 1
    if form.apart:
        columns = node["groups"]
    *outer, last = (
        ceildiv(dim, form.phases(axis)) for dim, axis in zip(form.places, form.axes, strict=True)
    )
    deep = max(map(form.deep, each))
    total = product((*outer, last))
    many = form.by_taps(machine)
    rows = large_block(total, columns) if many else block(total * columns, deep)
    if form.streams:
        rows = maximum(rows, FEW)
    blocks = ceildiv(maximum(last, 1), rows)
    along = ceildiv(ceildiv(last, blocks), deep) * deep
    # Windows have more weights than a block of rows has data, and threads that write panels of the
    # same rows at the same time take their lines from each other.
    first = node["groups"] == 1 and form.terms > form.summed
    if not outer:
        return Sharing((blocks,), columns, 1, along, together, first)
    lines, width = maximum(outer[-1], 1), maximum(last, 1)
    across = ceildiv(lines, ceildiv(lines, maximum((rows + width // 2) // width, 1)))
    places = (*form.places[:-2], ceildiv(outer[-1], across), blocks)
    return Sharing(places, columns, across, along, together, first)


def tasks(kernel: Kernel, machine: Machine) -> Dim:
    """How many tasks the kernel of a form splits into."""
    return product(sharing(solved(kernel), machine).shape)

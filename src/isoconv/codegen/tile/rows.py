"""What the parts of a tile kernel share, and the rows of a task that meet the same taps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import gcd

from isoconv.codegen import taps
from isoconv.codegen.edges import Bounds, bounds, segments
from isoconv.codegen.emit import SCALARS, Builder, Value, vector_type
from isoconv.codegen.frame import Frame
from isoconv.codegen.tile.form import sharing, solved
from isoconv.ir.geometry import Axis
from isoconv.ir.sizes import Dim
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine
from isoconv.plan.tiles import Panel, panels

# The bits that multipliers of many processors take at a time.
_MULTIPLIER = 256
# These ask where they stand.
_PLACED = ("iota", "reverse", "slice", "pad", "concat", "transpose")


@dataclass(frozen=True)
class Phase:
    """Rows t of one phase of an axis: output t * out_step + out_start, data from
    t * step + start on, `reach` positions beyond that.
    """

    out_start: Value
    out_step: int
    step: int
    start: Value
    reach: Value
    rows: Value


@dataclass(frozen=True)
class Run:
    """Rows of one phase of an axis from `first` on, `count` of them, that meet the same taps."""

    phase: Phase
    first: Value
    count: Value
    live: taps.Taps

    def output(self, b: Builder, row: Value) -> Value:
        """The output position of a row of the run."""
        phase = self.phase
        return b.add(phase.out_start, b.mul(b.add(self.first, row), phase.out_step))


class Tile:
    """A kernel of register tiles under construction."""

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        anchor = kernel.anchor
        assert anchor is not None
        self.frame = Frame(kernel, machine)
        self.b: Builder = self.frame.b
        self.node = anchor
        self.root = kernel.graph.outputs[0]
        self.form = solved(kernel)
        self.lanes, self.wide = machine.lanes(anchor.dtype), machine.vector_bits > _MULTIPLIER
        self.pull = self.frame.pull(self.lanes)
        self.scalar = SCALARS[anchor.dtype]
        self.vector = vector_type(self.scalar, self.lanes)
        self.panels = panels(self.form.filters, anchor.dtype, machine)
        self.sharing = sharing(self.form, machine)
        self.sizes = self.frame.sizes
        inner = self.form.inner
        # Windows of one tap after another lie side by side where nothing comes between them.
        self.merged = self.form.forward and inner.dilation == 1 and anchor["groups"] == 1

    @cached_property
    def foldable(self) -> bool:
        """Whether the epilogue is the same wherever on the last two axes of places it stands."""
        graph = self.frame.kernel.graph
        others = [n for n in graph.nodes if n.rank == self.node.rank and n not in self.node.inputs]
        one, sums, rows = (1, 1), self.node.shape[-3:-1], self.form.places[-2:]
        return all(n.shape[-3:-1] in (one, sums, rows) and n.op not in _PLACED for n in others)

    @cached_property
    def holds_sums(self) -> bool:
        """Whether sums can lie where the outputs will."""
        alone = len(self.frame.kernel.graph.outputs) == 1
        return alone and (self.root.shape, self.root.dtype) == (self.node.shape, self.node.dtype)

    @contextmanager
    def runs(self, dim: int, piece: Value, each: Dim) -> Iterator[Run]:
        """The rows of a task along one dimension, phase by phase and by the taps that they meet."""
        b, phases = self.b, self.form.phases(self.form.axes[dim])
        with b.loop(0, phases, at_least_once=True) as loop:
            phase = self.phase(dim, b.i64(0) if phases == 1 else loop.index)
            first = b.mul(piece, self.sizes(each))
            last = b.minimum(b.add(first, self.sizes(each)), phase.rows)
            with segments(b, self.bounds(dim, phase, first, last)) as (start, end):
                output = b.add(phase.out_start, b.mul(start, phase.out_step))
                live = self.form.taps(b, self.sizes, dim, output)
                yield Run(phase, start, b.sub(end, start), live)

    def phase(self, dim: int, which: Value) -> Phase:
        b, axis, window = self.b, self.form.axes[dim], self.form.window[dim]
        length = self.sizes(self.form.places[dim])
        if self.form.forward:
            start = b.sub(b.i64(0), self.sizes(axis.low))
            reach = b.i64(axis.span - 1 + (window - 1) * axis.stride)
            return Phase(b.i64(0), 1, axis.stride * window, start, reach, length)
        stride = axis.stride
        step = stride // gcd(stride, axis.dilation)
        origin = b.add(which, self.sizes(axis.low))
        first = taps.first_live(b, axis, origin)
        count = b.floordiv(b.add(b.sub(b.i64(axis.taps), first), step - 1), step)
        tap = b.add(first, b.mul(b.sub(count, 1), step))
        start = b.floordiv(b.sub(origin, b.mul(tap, axis.dilation)), stride)
        rows = b.floordiv(b.add(b.sub(length, which), stride - 1), stride)
        reach = b.mul(b.sub(count, 1), step * axis.dilation // stride)
        return Phase(which, stride, 1, start, reach, rows)

    def bounds(self, dim: int, phase: Phase, first: Value, last: Value) -> Bounds:
        axis = self.form.axes[dim]
        if axis == Axis(1) or (self.form.forward and axis.low == 0 and axis.high == 0):
            return Bounds(first, last, first, last)
        length = self.sizes(self.form.data.shape[dim])
        return bounds(self.b, first, last, phase.start, phase.step, phase.reach, length)

    def columns(self, column: Value) -> Iterator[tuple[Panel, Value, Value, Value]]:
        """The panels of a task, each with its first filter, its first input channel, and where in a
        row of weights it begins.

        What a caller does with one is emitted inside the loop or branch that chooses it.
        """
        b, form, groups = self.b, self.form, self.node["groups"]
        if groups > 1:
            first, last = (column, b.add(column, 1)) if form.apart else (b.i64(0), b.i64(groups))
            with b.loop(first, last, at_least_once=True) as group:
                channel = b.mul(group.index, form.summed)
                base = b.mul(group.index, form.filters)
                for panel in self.panels:
                    with b.loop(0, panel.count, at_least_once=True) as loop:
                        start = b.add(b.mul(loop.index, panel.width), panel.start)
                        filter_ = b.add(base, start)
                        yield panel, filter_, channel, start if form.apart else filter_
            return
        first = b.mul(column, self.sharing.panels)
        if len(self.panels) == self.sharing.panels == 1:
            filter_ = b.mul(first, self.panels[0].width)
            yield self.panels[0], filter_, b.i64(0), filter_
            return
        for panel in self.panels:
            start = b.maximum(first, 0)
            stop = b.minimum(b.add(first, self.sharing.panels), panel.count)
            with b.loop(start, stop) as loop, self.pull.scope():
                filter_ = b.add(b.mul(loop.index, panel.width), panel.start)
                yield panel, filter_, b.i64(0), filter_
            first = b.sub(first, panel.count)

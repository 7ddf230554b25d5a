"""Forms of one channel and one filter, without strides: lanes are neighbouring outputs."""

from __future__ import annotations

from collections.abc import Sequence

from isoconv.codegen import taps
from isoconv.codegen.edges import bounds, cover
from isoconv.codegen.emit import SCALARS, Value, vector_type
from isoconv.codegen.frame import Frame
from isoconv.codegen.index import ZERO, Coord, Index
from isoconv.codegen.pull import Pull
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim, ceildiv, product
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine

# Outputs along the last spatial axis that one task takes, and taps of one step.
_BLOCK = 1024
_UNROLL = 4


def row_shape(node: Node) -> tuple[Dim, ...]:
    """The tasks: every place before the last spatial axis, times blocks of outputs along it."""
    return (*node.shape[:-2], ceildiv(node.shape[-2], _BLOCK))


def tasks(node: Node) -> Dim:
    """How many tasks the kernel of such a form splits into."""
    return product(row_shape(node))


def emit(kernel: Kernel, machine: Machine) -> str:
    """The kernel of the face y of a form of one channel and one filter, with its epilogue."""
    return _Line(kernel, machine).text()


class _Line:
    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        anchor = kernel.anchor
        assert anchor is not None
        self.frame = Frame(kernel, machine)
        self.b = self.frame.b
        self.node = anchor
        self.root = kernel.graph.outputs[0]
        self.x, self.w = anchor.inputs
        self.axes: tuple[Axis, ...] = anchor["axes"]
        self.inner = self.axes[-1]
        self.first = anchor.rank - 1 - len(self.axes)
        self.lanes = machine.lanes(anchor.dtype)
        self.scalar = SCALARS[anchor.dtype]
        self.vector = vector_type(self.scalar, self.lanes)
        self.wide, self.one = self.frame.pull(self.lanes), self.frame.pull(1)
        self.deep = machine.registers // 2

    def text(self) -> str:
        frame, b, sizes, axis = self.frame, self.b, self.frame.sizes, self.inner
        length = sizes(self.node.shape[-2])
        shape = row_shape(self.node)
        with frame.rows(shape, frame.begin, frame.end) as row, self.wide.scope(), self.one.scope():
            places, first = row[:-1], b.mul(row[-1].base, _BLOCK)
            last = b.minimum(b.add(first, _BLOCK), length)
            start, reach = b.sub(b.i64(0), sizes(axis.low)), b.i64(axis.span - 1)
            rows = bounds(b, first, last, start, 1, reach, sizes(self.x.shape[-2]))
            cover(
                self.wide,
                rows,
                (self.deep * self.lanes, self.lanes),
                lambda at, count: self._block(places, at, count // self.lanes),
                lambda at: self._single(places, at),
            )
        return frame.text()

    def _single(self, places: Sequence[Coord], at: Value) -> None:
        with self.one.scope():
            self._write(self.one, (*places, Coord(at), ZERO))

    def _write(self, p: Pull, index: Index) -> None:
        p.store(p.value(self.root, index), self.frame.targets[0], self.root, index, None)

    def _block(self, places: Sequence[Coord], at: Value, deep: int) -> None:
        """`deep` vectors of outputs, all of whose taps are live."""
        b, sizes, lanes = self.b, self.frame.sizes, self.wide.lanes
        outer = [
            taps.forward(b, sizes, axis, c.base, length)
            for axis, c, length in zip(
                self.axes[:-1], places[self.first :], self.x.shape[self.first : -2], strict=True
            )
        ]
        start = b.sub(at, sizes(self.inner.low))

        def add(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
            rows = [
                Coord(b.add(t.place, b.mul(j, t.place_step)))
                for t, j in zip(outer, numbers, strict=True)
            ]
            found = [
                Coord(b.add(t.tap, b.mul(j, t.tap_step)))
                for t, j in zip(outer, numbers, strict=True)
            ]
            index = (*places[: self.first], *rows, Coord(start), ZERO)
            data = lanes.offset(index, self.wide.strides(self.x.shape)).base
            index = (*found, ZERO, ZERO, ZERO)
            weights = lanes.offset(index, self.wide.strides(self.w.shape)).base
            x = b.at(self.frame.pointers[self.x], data, self.scalar)
            w = b.at(self.frame.pointers[self.w], weights, self.scalar)
            return self._taps(x, w, carried)

        zeros = [b.const(self.vector, 0)] * deep
        totals = self.wide.nest([t.count for t in outer], zeros, add)
        for number, total in enumerate(totals):
            self.wide.held[self.node] = total
            output = Coord(b.add(at, number * self.lanes), 1)
            self._write(self.wide, (*places, output, ZERO))
        del self.wide.held[self.node]

    def _taps(self, x: Value, w: Value, totals: Sequence[Value]) -> Sequence[Value]:
        """All taps of the last axis, from data and weights that begin at `x` and `w`."""
        b, count = self.b, self.inner.taps
        whole = count // _UNROLL * _UNROLL
        for start, stop, unroll in ((0, whole, _UNROLL), (whole, count, 1)):
            with b.loop(start, stop, step=unroll, carried=totals) as loop:
                loop.next = tuple(self._step(x, w, loop.index, unroll, loop.carried))
            totals = loop.results
        return totals

    def _step(
        self, x: Value, w: Value, tap: Value, count: int, totals: Sequence[Value]
    ) -> Sequence[Value]:
        """`count` taps from `tap` on."""
        b, scalar = self.b, self.scalar
        data = b.at(x, b.mul(tap, self.inner.dilation), scalar)
        weights = b.at(w, tap, scalar)
        for k in range(count):
            weight = b.splat(b.load(b.at(weights, k, scalar), scalar), self.lanes)
            places = [
                b.at(data, k * self.inner.dilation + number * self.lanes, scalar)
                for number in range(len(totals))
            ]
            totals = [
                b.fma(b.load(place, self.vector), weight, total)
                for place, total in zip(places, totals, strict=True)
            ]
        return totals

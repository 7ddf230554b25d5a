"""Depthwise forms: lanes are channels, a block of neighbouring outputs stays in registers.

Each input row is loaded once for all the outputs of a block that it reaches. Taps are taken in
chunks, so that kernels of any length are the same few instructions. Outputs at the edges, some of
whose taps are absent, are pulled one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from isoconv.codegen import taps
from isoconv.codegen.edges import Bounds, bounds, cover
from isoconv.codegen.emit import SCALARS, Value, vector_type
from isoconv.codegen.frame import Frame
from isoconv.codegen.index import Coord
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.sizes import Dim, ceildiv, product
from isoconv.plan.kernel import Kernel
from isoconv.plan.machine import Machine

# Outputs along the last spatial axis that one task takes.
_BLOCK = 128


def row_shape(node: Node) -> tuple[Dim, ...]:
    """The tasks: every place before the last spatial axis, times blocks of outputs along it."""
    return (*node.shape[:-2], ceildiv(node.shape[-2], _BLOCK))


def tasks(node: Node) -> Dim:
    """How many tasks the kernel of a depthwise form splits into."""
    return product(row_shape(node))


def emit(kernel: Kernel, machine: Machine) -> str:
    """The kernel of the face y of a depthwise form, with its epilogue."""
    return _Depthwise(kernel, machine).text()


class _Depthwise:
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
        self.pull = self.frame.pull(self.lanes)
        # Half of the registers accumulate, a quarter holds weights, the rest is for the inputs.
        self.deep = machine.registers // 2
        self.chunk = min(self.inner.taps, machine.registers // 4)

    def text(self) -> str:
        frame, b = self.frame, self.b
        shape = row_shape(self.node)
        channels = frame.sizes(self.node.shape[-1])
        length = frame.sizes(self.node.shape[-2])
        with frame.rows(shape, frame.begin, frame.end) as row, self.pull.scope():
            places, piece = row[:-1], row[-1].base
            first = b.mul(piece, _BLOCK)
            last = b.minimum(b.add(first, _BLOCK), length)
            rows = self._bounds(first, last)
            with b.loop(0, channels, step=self.lanes) as loop, self.pull.scope():
                channel = Coord(loop.index, 1)
                mask = self._mask(channels, loop.index)
                cover(
                    self.pull,
                    rows,
                    self.deep,
                    partial(self._block, places, channel, mask),
                    partial(self._single, places, channel, mask),
                )
        return frame.text()

    def _mask(self, channels: Value, channel: Value) -> Value | None:
        if channels.text.isdigit() and int(channels.text) % self.lanes == 0:
            return None
        return self.b.mask_below(self.b.sub(channels, channel), self.lanes)

    def _bounds(self, first: Value, last: Value) -> Bounds:
        b, axis, sizes = self.b, self.inner, self.frame.sizes
        if axis.low == 0 and axis.high == 0:
            return Bounds(first, last, first, last)
        start, length = b.sub(b.i64(0), sizes(axis.low)), sizes(self.x.shape[-2])
        return bounds(b, first, last, start, axis.stride, b.i64(axis.span - 1), length)

    def _single(
        self, places: Sequence[Coord], channel: Coord, mask: Value | None, at: Value
    ) -> None:
        index = (*places, Coord(at), channel)
        value = self.pull.value(self.root, index, mask)
        self.pull.store(value, self.frame.targets[0], self.root, index, mask)

    def _block(
        self, places: Sequence[Coord], channel: Coord, mask: Value | None, at: Value
    ) -> None:
        b, sizes = self.b, self.frame.sizes
        outer = [
            taps.forward(b, sizes, axis, c.base, length)
            for axis, c, length in zip(
                self.axes[:-1],
                places[self.first :],
                self.x.shape[self.first : -2],
                strict=True,
            )
        ]
        zeros = [b.const(self.vector, 0)] * self.deep

        def add(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
            rows = [
                Coord(b.add(t.place, b.mul(j, t.place_step)))
                for t, j in zip(outer, numbers, strict=True)
            ]
            found = [
                b.add(t.tap, b.mul(j, t.tap_step)) for t, j in zip(outer, numbers, strict=True)
            ]
            start = b.sub(b.mul(at, self.inner.stride), sizes(self.inner.low))
            index = (*places[: self.first], *rows, Coord(start), Coord(channel.base))
            offset = self.pull.lanes.offset(index, self.pull.strides(self.x.shape)).base
            x = b.at(self.frame.pointers[self.x], offset, self.scalar)
            zero = Coord(b.i64(0))
            index = (*map(Coord, found), zero, zero, Coord(channel.base))
            offset = self.pull.lanes.offset(index, self.pull.strides(self.w.shape)).base
            w = b.at(self.frame.pointers[self.w], offset, self.scalar)
            return self._taps(x, w, mask, carried)

        totals = self.pull.nest([t.count for t in outer], zeros, add)
        for number, total in enumerate(totals):
            self.pull.held[self.node] = total
            self._single(places, channel, mask, b.add(at, number))
        del self.pull.held[self.node]

    def _taps(
        self, x: Value, w: Value, mask: Value | None, totals: Sequence[Value]
    ) -> Sequence[Value]:
        """All taps of the last axis, a chunk at a time."""
        b, axis = self.b, self.inner
        channels = self.frame.sizes(self.x.shape[-1])
        whole, rest = divmod(axis.taps, self.chunk)
        with b.loop(0, whole, carried=totals, at_least_once=True) as loop:
            tap = b.mul(loop.index, self.chunk) if whole > 1 else b.i64(0)
            loop.next = tuple(self._chunk(x, w, mask, tap, self.chunk, loop.carried, channels))
        if not rest:
            return loop.results
        tap = b.i64(whole * self.chunk)
        return self._chunk(x, w, mask, tap, rest, loop.results, channels)

    def _chunk(
        self,
        x: Value,
        w: Value,
        mask: Value | None,
        tap: Value,
        count: int,
        totals: Sequence[Value],
        channels: Value,
    ) -> list[Value]:
        """`count` taps from `tap` on, for every output of the block."""
        b, axis = self.b, self.inner
        data = b.at(x, b.mul(b.mul(tap, axis.dilation), channels), self.scalar)
        weights = b.at(w, b.mul(tap, channels), self.scalar)
        held = [self._load(weights, b.mul(channels, k), mask) for k in range(count)]
        sums = list(totals)
        reached: dict[int, list[tuple[int, int]]] = {}
        for output in range(self.deep):
            for k in range(count):
                row = output * axis.stride + k * axis.dilation
                reached.setdefault(row, []).append((output, k))
        for row in sorted(reached):
            value = self._load(data, b.mul(channels, row), mask)
            for output, k in reached[row]:
                sums[output] = b.fma(value, held[k], sums[output])
        return sums

    def _load(self, base: Value, offset: Value, mask: Value | None) -> Value:
        address = self.b.at(base, offset, self.scalar)
        if mask is None:
            return self.b.load(address, self.vector)
        return self.b.load_masked(address, self.vector, mask)
